// The threads in which batches are decompressed, shared by all imports: started when there is work,
// ended when there was none for a while. Nothing is waited for here but their answers.

import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Batch, DecompressedBatch } from './messages.ts'

/** More would take the cores from what reads and writes. */
const maximumWorkers = Math.max(1, Math.min(4, availableParallelism()))

/** In milliseconds; a worker takes a few megabytes and a tenth of a second to start. */
const idleTime = 10_000

/** In JavaScript's heap, in MiB; what a batch holds is beside that. */
const resourceLimits = { maxOldGenerationSizeMb: 64 }

interface Waiting {
  readonly resolve: (batch: DecompressedBatch) => void
  readonly reject: (reason: unknown) => void
}

interface PoolWorker {
  /** Batches that it has not answered, in order. */
  readonly waiting: Waiting[]
  post(batch: Batch): void
}

const workers = new Set<PoolWorker>()

/** @throws whatever ended the worker */
export const runBatch = (batch: Batch): Promise<DecompressedBatch> =>
  new Promise((resolve, reject) => {
    const worker = chooseWorker()
    worker.waiting.push({ resolve, reject })
    worker.post(batch)
  })

/** One that has nothing to do, a new one, or the one with the least. */
const chooseWorker = (): PoolWorker => {
  const [least] = [...workers].toSorted((a, b) => a.waiting.length - b.waiting.length)
  const isFree = least !== undefined && least.waiting.length === 0
  return isFree || (least !== undefined && workers.size >= maximumWorkers) ? least : startWorker()
}

const startWorker = (): PoolWorker => {
  // The sources run as they are, or were compiled beside this file.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const thread = new Worker(new URL(`./decompress-worker.${ending}`, import.meta.url), {
    resourceLimits,
  })
  let idle: NodeJS.Timeout | undefined
  const worker: PoolWorker = {
    waiting: [],
    post(batch) {
      clearTimeout(idle)
      thread.ref()
      thread.postMessage(batch, [batch.bytes.buffer, batch.content.buffer])
    },
  }
  const end = (reason: unknown): void => {
    workers.delete(worker)
    for (const { reject } of worker.waiting.splice(0)) reject(reason)
  }
  thread.on('message', (done: DecompressedBatch) => {
    worker.waiting.shift()?.resolve(done)
    if (worker.waiting.length > 0) return
    // One that does nothing keeps no process alive.
    thread.unref()
    idle = setTimeout(() => {
      workers.delete(worker)
      void thread.terminate()
    }, idleTime).unref()
  })
  thread.on('error', end)
  thread.on('exit', () => end(new Error('the thread that decompresses has ended')))
  workers.add(worker)
  return worker
}
