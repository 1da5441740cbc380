// What a worker that decompresses and decompress-in-worker.ts say to each other, and the worker's
// side of it, which waits: a worker has nothing else to do.

import type { MessagePort } from 'node:worker_threads'
import { receiveMessageOnPort, workerData } from 'node:worker_threads'

export interface WorkerFailure {
  readonly kind: 'failed'
  /** `cut`: the stream ended before what it holds did. */
  readonly failure: 'cut' | 'broken'
  /** As a message goes on. */
  readonly found: string
}

export type WorkerMessage =
  | { readonly kind: 'need' }
  | { readonly kind: 'output'; readonly bytes: Uint8Array }
  | { readonly kind: 'done' }
  | WorkerFailure

/** The input has ended where more of it is needed. */
export class InputEndedError extends Error {}

const { port, wake } = workerData as { readonly port: MessagePort; readonly wake: Int32Array }

const post = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer)

const wait = (): unknown => {
  for (;;) {
    const seen = Atomics.load(wake, 0)
    const received = receiveMessageOnPort(port)
    if (received !== undefined) return received.message as unknown
    Atomics.wait(wake, 0, seen)
  }
}

/** The next bytes of the input; undefined at its end. Waits for them. */
export const takeInput = (): Uint8Array | undefined => {
  post({ kind: 'need' })
  const message = wait()
  return message instanceof Uint8Array ? message : undefined
}

/**
 * Hands on what came out, and waits until it has been taken.
 * @param bytes all of an ArrayBuffer, which is gone after
 */
export const putOutput = (bytes: Uint8Array<ArrayBuffer>): void => {
  post({ kind: 'output', bytes }, [bytes.buffer])
  wait()
}

/** Runs `work`, tells how it ended, and waits to be terminated: what it told is taken by then. */
export const runWorker = async (
  work: () => Promise<void> | void,
  explain: (error: unknown) => string,
): Promise<void> => {
  try {
    await work()
    post({ kind: 'done' })
  } catch (error) {
    const failure = error instanceof InputEndedError ? 'cut' : 'broken'
    post({ kind: 'failed', failure, found: explain(error) })
  }
  wait()
}
