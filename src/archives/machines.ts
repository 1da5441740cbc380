// What an archive says of the machines in it, OVF and XVA alike: their disks in the order of the
// archive, and the records of the VMs. The archive's word, checked for what it names; what is made
// of it is the caller's business.

/** Values of a field of a VM as they stand in an archive. */
export type ArchivedValue =
  string | number | boolean | null | Date | readonly ArchivedValue[] | ArchivedMap

export interface ArchivedMap {
  readonly [key: string]: ArchivedValue
}

export interface ArchivedMachines {
  /** In the order of the archive's description. */
  readonly disks: readonly ArchivedDisk[]
  /** Snapshots before the VM that they were taken of. */
  readonly vms: readonly ArchivedVm[]
  /** What is left out, each a short sentence without its full stop; a handful at most. */
  readonly notes: readonly string[]
}

export interface ArchivedDisk {
  /** By which VMs name it. */
  readonly id: string
  readonly nameLabel: string
  readonly nameDescription: string
  /** Virtual, in bytes; undefined where only the image tells it. */
  readonly size: number | undefined
  readonly source: DiskSource
  readonly snapshot?: { readonly ofId: string | null; readonly time: Date | null }
  readonly readOnly?: boolean
  readonly sharable?: boolean
  readonly otherConfig?: Readonly<Record<string, string>>
  readonly tags?: readonly string[]
}

/** Where the content of a disk is. */
type DiskSource =
  /** An entry of the archive that is an image. */
  | { readonly kind: 'image'; readonly name: string; readonly format: string }
  /** Numbered blocks in a folder, its slash included. */
  | { readonly kind: 'blocks'; readonly folder: string }
  /** Nowhere: the disk is empty. */
  | { readonly kind: 'empty' }

export interface ArchivedVm {
  readonly id: string
  /** Undefined where the archive gives none that is one. */
  readonly uuid: string | undefined
  readonly nameLabel: string
  readonly nameDescription: string
  readonly isTemplate: boolean
  readonly snapshot?: { readonly ofId: string | null; readonly time: Date | null }
  /** The snapshot that it was taken or reverted to last. */
  readonly parentId: string | null
  readonly otherConfig: Readonly<Record<string, string>>
  readonly tags: readonly string[]
  /** By XenAPI's names. */
  readonly settings: ArchivedMap
  /** By position, ascending. */
  readonly vbds: readonly ArchivedVbd[]
  readonly interfaces: readonly ArchivedInterface[]
}

export interface ArchivedVbd {
  /** Null: an empty CD drive. */
  readonly diskId: string | null
  readonly type: 'Disk' | 'CD' | 'Floppy'
  /** A number; undefined: the next one that is free. */
  readonly position: string | undefined
  readonly bootable: boolean
  readonly mode: 'RO' | 'RW'
}

export interface ArchivedInterface {
  /** A number; undefined: the next one that is free. */
  readonly position: string | undefined
  /** Undefined: a new one. */
  readonly mac: string | undefined
  /** In bytes. */
  readonly mtu: number | undefined
  readonly network: { readonly uuid?: string; readonly name?: string; readonly bridge?: string }
}
