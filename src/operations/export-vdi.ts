// The use case of every export: checks all that can be refused, opens the image, and lends it to
// the caller for as long as it takes to send. Knows no HTTP; routes/export-raw-vdi calls it.

import { endingOf, formatTable } from '../format-table.ts'
import { nameOf } from '../transfer/find.ts'
import type { Turn } from '../transfer/turns.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'
import { isStreamed } from './vdi/export-options.ts'
import type { ExportBody, ExportRequest } from './vdi/open-export.ts'
import { openExport } from './vdi/open-export.ts'
import { exportTag, latest } from './vdi/validators.ts'

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

/**
 * Runs an export as one transfer. What it throws before it calls `deliver` is a refusal.
 * @throws AppError HANDLE_INVALID, VALUE_NOT_SUPPORTED, VDI_TOO_LARGE, TOO_BUSY, or what `deliver`
 *   throws
 */
export const exportVdi = (
  context: OperationContext,
  request: ExportRequest,
  task: TaskHandle,
  deliver: Deliver,
): Promise<void> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    // Of a task that waits for a comparison first, that is one half, the sending the other.
    let share = 1
    const onProgress = (fraction: number): void => {
      share = 0.5
      task.report(fraction / 2)
    }
    const { format, options, opened, body, close } = await openExport(context, request, {
      user: task.user,
      signal,
      onProgress,
    })
    const { vdi, baseVdi: base } = opened
    try {
      await deliver({
        body,
        isCompressed: isStreamed(format, options),
        etag: exportTag(opened, format, options),
        changedAt: latest([format.planDate, vdi.changedAt, ...(base ? [base.changedAt] : [])]),
        mediaType: formatTable[format.name].mediaType,
        fileName: `${vdi.uuid}.${endingOf(format.name)}`,
        signal,
        turn,
        open: async () => {
          await open()
          task.begin(`Export of ${nameOf(vdi)}`)
        },
        report: (fraction) => task.report(1 - share + share * fraction),
        verify: () => opened.verify(),
      })
    } finally {
      await close()
    }
  })
