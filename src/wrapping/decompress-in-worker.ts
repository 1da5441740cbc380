// Decompression by libraries that work in the thread that calls them: here in one of its own, so
// that the others go on. The worker asks for what it needs; nothing piles up on either side.

import { MessageChannel, Worker } from 'node:worker_threads'
import { throwIfAborted } from '../disk/disk.ts'
import type { AppError } from '../errors.ts'
import { cutShort, imageError } from '../errors.ts'
import { receivedBytes } from '../image/young-garbage.ts'
import type { WorkerFailure, WorkerMessage } from './worker-messages.ts'

/**
 * What a worker may take in JavaScript's heap, in MiB; what it takes beside that is bounded too.
 */
const resourceLimits = { maxOldGenerationSizeMb: 128 }

/**
 * How long a worker may work on what it has, in milliseconds: a broken stream can keep a library in
 * a loop. The largest block of bzip2 takes a second or two.
 */
const workLimit = 120_000

/**
 * @param name of the worker: `<name>-worker`
 * @throws AppError as Compression.decompress
 */
export async function* decompressInWorker(
  name: 'xz' | 'bzip2',
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const what = `Cannot decompress ${name}`
  const worker = startWorker(name)
  const chunks = source[Symbol.asyncIterator]()
  let out = 0
  try {
    for (;;) {
      const message = await worker.next(what, signal)
      if (message.kind === 'need') {
        const next = await chunks.next()
        worker.give(next.done === true ? undefined : next.value)
      } else if (message.kind === 'output') {
        out += message.bytes.length
        receivedBytes(message.bytes.length)
        yield message.bytes
        worker.goOn()
      } else if (message.kind === 'done') return
      else throw explain(what, message, out)
    }
  } finally {
    await worker.end()
    await chunks.return?.()
  }
}

const explain = (what: string, { failure, found }: WorkerFailure, out: number): AppError => {
  const place = `after ${out} bytes came out`
  if (failure === 'cut') return cutShort(what, `the stream ends ${place}`)
  return imageError(what, `${found}, ${place}`)
}

const startWorker = (name: string) => {
  // The sources run as they are, or were compiled beside this file.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const { port1: port, port2 } = new MessageChannel()
  const wake = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL(`./${name}-worker.${ending}`, import.meta.url), {
    workerData: { port: port2, wake },
    transferList: [port2],
    resourceLimits,
  })
  const messages: WorkerMessage[] = []
  let failed: { readonly reason: unknown } | undefined
  let onChange: () => void = () => {}
  const fail = (reason: unknown): void => {
    failed ??= { reason }
    onChange()
  }
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('the worker has ended')))
  port.on('message', (message: WorkerMessage) => {
    messages.push(message)
    onChange()
  })
  // A worker that waits in Atomics.wait is told that something has come.
  const post = (message: Uint8Array | 'end' | 'on'): void => {
    port.postMessage(message)
    Atomics.add(wake, 0, 1)
    Atomics.notify(wake, 0)
  }
  return {
    async next(what: string, signal?: AbortSignal): Promise<WorkerMessage> {
      throwIfAborted(signal)
      const timer = setTimeout(() => {
        fail(imageError(what, `nothing has come out for ${workLimit / 1000} s`))
      }, workLimit)
      const abort = (): void => fail(signal?.reason)
      signal?.addEventListener('abort', abort)
      try {
        while (messages.length === 0) {
          if (failed !== undefined) throw asAppError(what, failed.reason)
          await new Promise<void>((resolve) => (onChange = resolve))
        }
        return messages.shift()!
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
    },
    /** @param chunk undefined: there is no more */
    give: (chunk: Uint8Array | undefined): void => post(chunk ?? 'end'),
    goOn: (): void => post('on'),
    async end(): Promise<void> {
      port.close()
      await worker.terminate()
    },
  }
}

const asAppError = (what: string, reason: unknown): unknown => {
  const isTooLarge =
    reason instanceof Error && 'code' in reason && reason.code === 'ERR_WORKER_OUT_OF_MEMORY'
  return isTooLarge ? imageError(what, 'it needs more memory than is given') : reason
}
