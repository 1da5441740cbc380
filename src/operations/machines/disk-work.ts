// What the disks of an archive are written with: that of the import that they are part of.

import type { OperationContext } from '../context.ts'
import type { BufferPool } from '../../image/buffer-pool.ts'
import type { Turn } from '../../transfer/turns.ts'
import type { UploadSpools } from '../../transfer/upload-spools.ts'
import type { TaskHandle } from '../../transfer/with-task.ts'

export interface DiskWork {
  readonly context: OperationContext
  readonly task: TaskHandle
  readonly buffers: BufferPool
  readonly spools: UploadSpools
  readonly signal: AbortSignal
  readonly turn: Turn
  /** Called when something of the archive has been read. */
  readonly onBytes?: () => void
}
