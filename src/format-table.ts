// The one list of image formats: what the catalog, the store, the clients and the formats
// themselves must know of each. What a format does is in formats/registry.ts, which has an entry
// for each row.

interface FormatFacts {
  /** As `this is` goes on; absent for a format that cannot be told by its first bytes. */
  readonly form?: {
    readonly name: string
    /** The first bytes, one character each. */
    readonly start: string
    /** Where they stand, if not at the beginning. */
    readonly offset?: number
  }
  /** Of file names, without the dot. Files of ours have the first. */
  readonly endings: readonly [string, ...string[]]
  /** What QEMU calls it; absent for a format that QEMU does not know. */
  readonly qemuName?: string
  /** The Content-Type of an export. */
  readonly mediaType: string
  /**
   * What `subformat` may say of an export, the default first; none where there is one form only.
   */
  readonly subformats: readonly string[]
  /**
   * Those of `subformats` whose length is known only at their end: no Content-Length, no ranges.
   */
  readonly streamed: readonly string[]
  /** What `compression` may say of an export, which is then streamed. Absent: nothing. */
  readonly compressions?: readonly string[]
  /** Whether an export may hold what differs from a base. */
  readonly exportsDeltas: boolean
  /** Whether an image may say that it lies on another one, and be imported as a delta. */
  readonly importsDeltas: boolean
  /** Whether VDIs may lie in it. */
  readonly mayHoldVdis: boolean
  /** Whether a layer in it may lie on another: it tells which blocks it does not hold. */
  readonly tellsHoles: boolean
}

/** Of those that may hold VDIs, each can do more than those before it. */
const rows = {
  raw: {
    endings: ['raw', 'img'],
    qemuName: 'raw',
    mediaType: 'application/octet-stream',
    subformats: [],
    streamed: [],
    exportsDeltas: false,
    importsDeltas: false,
    mayHoldVdis: true,
    tellsHoles: false,
  },
  vhd: {
    form: { name: 'a VHD image', start: 'conectix' },
    endings: ['vhd'],
    qemuName: 'vpc',
    mediaType: 'application/vhd',
    subformats: ['dynamic', 'fixed'],
    streamed: [],
    exportsDeltas: true,
    importsDeltas: true,
    mayHoldVdis: true,
    tellsHoles: true,
  },
  qcow2: {
    // After it one byte for the version: a small one that is not supported is refused by its
    // number.
    form: { name: 'a qcow2 image', start: 'QFI\xfb\0\0\0' },
    endings: ['qcow2'],
    qemuName: 'qcow2',
    mediaType: 'application/x-qemu-disk',
    subformats: [],
    streamed: [],
    compressions: ['zlib', 'zstd'],
    exportsDeltas: true,
    importsDeltas: true,
    mayHoldVdis: true,
    tellsHoles: true,
  },
  vdi: {
    // After a text of 64 bytes, which may say anything.
    form: { name: 'a VDI image of VirtualBox', start: '\x7f\x10\xda\xbe', offset: 64 },
    endings: ['vdi'],
    qemuName: 'vdi',
    mediaType: 'application/x-virtualbox-vdi',
    subformats: [],
    streamed: [],
    exportsDeltas: false,
    importsDeltas: false,
    mayHoldVdis: false,
    tellsHoles: false,
  },
  vmdk: {
    // Those of ESX and of disks in pieces begin otherwise.
    form: { name: 'a VMDK image', start: 'KDMV' },
    endings: ['vmdk'],
    qemuName: 'vmdk',
    mediaType: 'application/x-vmdk',
    subformats: ['monolithicSparse', 'streamOptimized'],
    streamed: ['streamOptimized'],
    exportsDeltas: false,
    importsDeltas: false,
    mayHoldVdis: false,
    tellsHoles: false,
  },
  vhdx: {
    form: { name: 'a VHDX image', start: 'vhdxfile' },
    endings: ['vhdx', 'avhdx'],
    qemuName: 'vhdx',
    mediaType: 'application/x-vhdx',
    subformats: [],
    streamed: [],
    exportsDeltas: false,
    importsDeltas: true,
    mayHoldVdis: false,
    tellsHoles: false,
  },
  tar: {
    endings: ['tar'],
    mediaType: 'application/x-tar',
    subformats: ['sha1', 'xxhash'],
    streamed: [],
    exportsDeltas: false,
    importsDeltas: false,
    mayHoldVdis: false,
    tellsHoles: false,
  },
} as const satisfies Readonly<Record<string, FormatFacts>>

export type FormatName = keyof typeof rows

export const formatTable: Readonly<Record<FormatName, FormatFacts>> = rows

export const formatNames = Object.keys(rows) as readonly FormatName[]

/** The format of layers if no other is asked for, or if that one cannot lie on a parent. */
export const DEFAULT_FORMAT: FormatName = 'qcow2'

/** The formats that VDIs may lie in: the default, then what can do more before what can do less. */
export const formatsAtRest: readonly FormatName[] = formatNames
  .filter((name) => formatTable[name].mayHoldVdis)
  .toReversed()
  .toSorted((a, b) => Number(b === DEFAULT_FORMAT) - Number(a === DEFAULT_FORMAT))

export const isFormatName = (name: string): name is FormatName => Object.hasOwn(formatTable, name)

/** What the names of files in this format end with, without the dot. */
export const endingOf = (format: FormatName): string => formatTable[format].endings[0]

/** @param ending of a file name, without the dot */
export const formatOfEnding = (ending: string): FormatName | undefined =>
  formatNames.find((name) => formatTable[name].endings.includes(ending))

/** @param qemuName as QEMU names the format */
export const formatOfQemuName = (qemuName: string): FormatName | undefined =>
  formatNames.find((name) => formatTable[name].qemuName === qemuName)
