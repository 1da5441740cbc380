// What a use case of exports lends to whoever sends: an image, with what an answer says of it.

import type { Turn } from '../../transfer/turns.ts'
import type { ExportBody } from './open-export.ts'

/** An image on loan: valid until `deliver` returns. */
export interface ReadyExport {
  readonly body: ExportBody
  /** Whether its data is compressed already. */
  readonly isCompressed: boolean
  /** Strong where the image is planned, weak where it is streamed. Quoted, as HTTP wants it. */
  readonly etag: string
  /** When its bytes last changed, or later. */
  readonly changedAt: Date
  readonly mediaType: string
  readonly fileName: string
  /** Aborted when the task is cancelled or the server stops. */
  readonly signal: AbortSignal
  /** Is paused while the client takes nothing. */
  readonly turn: Turn
  /**
   * To be called when nothing is left to refuse, before the first byte; not for what sends none.
   * @throws AppError TOO_BUSY
   */
  readonly open: () => Promise<void>
  /** Takes the fraction of the image that has been sent, 0 to 1, for the task. */
  readonly report: (fraction: number) => void
  /**
   * To be called when all has been read, before the last bytes are sent.
   * @throws AppError VDI_IO_ERROR if others have changed a file meanwhile: what was read may be
   *   neither the old content nor the new
   */
  readonly verify: () => Promise<void>
}

/**
 * Sends the image. Throws where a part could not be read, and TASK_CANCELLED where the client left.
 */
export type Deliver = (ready: ReadyExport) => Promise<void>
