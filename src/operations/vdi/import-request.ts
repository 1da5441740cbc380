// What an import is asked to do, and what is known of its body: given by the routes to
// import-vdi.ts. Nothing here knows HTTP.

import type { ArchivedMap } from '../../archives/machines.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { VmSetting } from '../../catalog/vms/vm-tables.ts'
import type { Turn } from '../../transfer/turns.ts'

/** What becomes of an archive of machines. */
export interface MachineOptions {
  /** The body must be one, and VMs are what was asked for. */
  readonly isRequired: boolean
  /** They keep their uuids and the MAC addresses of their interfaces, as those of a backup do. */
  readonly restore: boolean
  /**
   * The fields of a VM that are kept for clients, by XenAPI's names; `unread` are those whose value
   * is none of their type.
   */
  readonly settingsOf: (fields: ArchivedMap) => {
    readonly settings: Readonly<Record<string, VmSetting>>
    readonly unread: readonly string[]
  }
}

export interface NewTarget {
  readonly srUuid: string
  /** Of the VDI, or of the VM that an archive holds. */
  readonly nameLabel: string
  /** Absent: an archive of machines is refused. */
  readonly machines?: MachineOptions
}

export interface ImportRequest {
  /** The VDI to write into, or the storage repository to make one in. */
  readonly target: { readonly vdiUuid: string } | NewTarget
  /**
   * As the client wrote it; absent where it said nothing, which means raw. `auto`: what the body
   * shows; `ova` and `xva`: an archive of machines, of that kind.
   */
  readonly formatName?: string
  /** Starts from an empty disk; else what the image does not hold stays as it is. */
  readonly replace: boolean
  /** Raw content comes in XenServer's own chunks; the other formats are plain all the same. */
  readonly chunked: boolean
  /**
   * The client's conditions on what is there: called before a byte is read.
   * @param present undefined: the VDI is yet to be made
   * @throws AppError where they do not hold; nothing is changed then
   */
  readonly requireConditions?: (present: VdiRow | undefined) => void
  /**
   * Of the VDI, in bytes, a multiple of 512, > 0: that of a new one, or what the client takes the
   * present one to have.
   */
  readonly size?: number
  /**
   * A raw image without a length may end before the VDI does; what it does not reach stays as it
   * is.
   */
  readonly short?: boolean
}

/** What an import made or filled. */
export interface Imported {
  readonly vdiUuids: readonly string[]
  /** None of an image. */
  readonly vmUuids: readonly string[]
}

/** The body of the upload. */
export interface Upload {
  /** In bytes as they come, where it is announced. */
  readonly length?: number
  /**
   * What its bytes are coded with, in the order in which the codings were applied; each is one that
   * compressionOfCoding knows.
   */
  readonly codings?: readonly string[]
  /**
   * Where neither a length nor chunks of HTTP tell when the body is whole, but only the end of the
   * connection: an orderly `close`, or a `cut`, which may be one in the middle of the content too.
   * The image then ends where it says so itself; a raw one that is cut must have exactly the size
   * of its VDI, one that is closed no less.
   */
  readonly endsWith?: 'close' | 'cut'
  /**
   * A body without a byte may be a question whether the import would be taken: Orchestra asks so
   * before each.
   */
  readonly mayAsk?: boolean
  /**
   * Called once, when nothing is left that could be refused before the first byte: the bytes.
   * @param turn is paused while none come
   */
  accept(turn: Turn): AsyncIterable<Uint8Array>
  /**
   * Called once when all bytes have been read, before the commit.
   * @throws AppError where they are not what the client meant to send
   */
  verify?(): void
}
