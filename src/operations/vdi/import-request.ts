// What an import is asked to do, and what is known of its body: given by the routes to
// import-vdi.ts. Nothing here knows HTTP.

import type { VdiRow } from '../../catalog/vdis.ts'
import type { Turn } from '../../transfer/turns.ts'

export interface ImportRequest {
  /** The VDI to write into, or the storage repository to make one in. */
  readonly target:
    { readonly vdiUuid: string } | { readonly srUuid: string; readonly nameLabel: string }
  /**
   * As the client wrote it; absent where it said nothing, which means raw. `auto`: what the image
   * shows.
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
