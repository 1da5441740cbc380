// The one list of places that exported images go to, with what each takes; docs/moving has a page
// for each.

import type { FormatName } from './format-table.ts'
import { MiB } from './units.ts'

export interface Place {
  readonly format: FormatName
  /** The first of the format's subformats unless told. */
  readonly subformat?: string
  /** The disk is made larger, with zeros, up to a multiple of so many bytes. */
  readonly sizeUnit?: number
}

/** By the names that `for` takes. */
export const places: Readonly<Record<string, Place>> = {
  // Dynamic, of creator `tap`, version 1.3, with a batmap: then the host may grow the disk.
  xenserver: { format: 'vhd', subformat: 'dynamic' },
  // Fixed ones of whole MiB only, whose footer tells the size in current_size.
  azure: { format: 'vhd', subformat: 'fixed', sizeUnit: MiB },
  hyperv: { format: 'vhdx' },
  // What vSphere takes, and what an OVA holds.
  vmware: { format: 'vmdk', subformat: 'streamOptimized' },
  proxmox: { format: 'qcow2' },
  openstack: { format: 'qcow2' },
  virtualbox: { format: 'vdi' },
  libvirt: { format: 'qcow2' },
}
