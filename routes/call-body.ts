// The body of a call as text: bounded in length and in time, because nobody knows yet who sends it. rpc.ts answers
// what is wrong with one.

import type { BodyPace } from '../src/net/body-pace.ts'
import { watchPace } from '../src/net/body-pace.ts'
import { KiB, MiB } from '../src/units.ts'

export const MAXIMUM_BODY = MiB

export type CallBody =
  { readonly text: string } | { readonly status: 200 | 408 | 413; readonly found: string }

/** The connection of a body that is refused with 408 must be closed: the rest of it may still come. */
export const readCallBody = (request: Request, pace?: BodyPace): Promise<CallBody> => {
  if (Number(request.headers.get('content-length')) > MAXIMUM_BODY) return Promise.resolve(tooLong)
  const bytes = createCollector()
  return new Promise((resolve, reject) => {
    let isLate = false
    const late = (): void => {
      isLate = true
      const found = `the body came too slowly: ${bytes.length} bytes have come`
      resolve({ status: 408, found })
    }
    const unwatch = watchPace(() => bytes.length, late, pace)
    collect(request, bytes, () => isLate)
      .then(resolve, reject)
      .finally(unwatch)
  })
}

const tooLong: CallBody = {
  status: 413,
  found: `the body is longer than ${MAXIMUM_BODY} bytes`,
}

const collect = async (
  request: Request,
  bytes: Collector,
  isLate: () => boolean,
): Promise<CallBody> => {
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader()
  for (;;) {
    let next: Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>> | undefined
    try {
      next = await reader?.read()
    } catch {
      // Nobody is there any more who could read the answer.
      return { status: 200, found: 'the connection ended before the body did' }
    }
    if (isLate() || next?.value === undefined) break
    if (bytes.length + next.value.length > MAXIMUM_BODY) return tooLong
    bytes.add(next.value)
  }
  const text = decodeUtf8(bytes.all())
  return text === undefined ? { status: 200, found: 'the body is not UTF-8' } : { text }
}

interface Collector {
  readonly length: number
  add(chunk: Uint8Array): void
  all(): Uint8Array
}

/** Copies what comes: a chunk of one byte, kept, would hold many times its weight. */
const createCollector = (): Collector => {
  let bytes = new Uint8Array(4 * KiB)
  let length = 0
  return {
    get length() {
      return length
    },
    add(chunk) {
      if (length + chunk.length > bytes.length) {
        const larger = new Uint8Array(Math.max(2 * bytes.length, length + chunk.length))
        larger.set(bytes.subarray(0, length))
        bytes = larger
      }
      bytes.set(chunk, length)
      length += chunk.length
    },
    all: () => bytes.subarray(0, length),
  }
}

const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
