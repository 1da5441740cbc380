// The use case of every export: checks all that can be refused, opens the image, and lends it to
// the caller for as long as it takes to send. Knows no HTTP; routes/export-raw-vdi calls it.

import { endingOf, formatTable } from '../format-table.ts'
import { nameOf } from '../transfer/find.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'
import { isStreamed } from './vdi/export-options.ts'
import type { ExportRequest } from './vdi/open-export.ts'
import { openExport } from './vdi/open-export.ts'
import type { Deliver } from './vdi/ready-export.ts'
import { exportTag, latest } from './vdi/validators.ts'

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
