// The body of a call as text: bounded in length, in time and in memory, because nobody knows yet
// who sends it. rpc.ts answers what is wrong with one.

import type { BodyPace } from '../src/net/body-pace.ts'
import { watchPace } from '../src/net/body-pace.ts'
import { MiB } from '../src/units.ts'
import type { BodyRoom, Collector } from './body-room.ts'
import { createCollector } from './body-room.ts'

const MAXIMUM_BODY = MiB

type CallBody =
  /** `release` is to be called when the text is no longer needed. */
  { readonly text: string; readonly release: () => void } | RefusedBody

interface RefusedBody {
  readonly status: 200 | 408 | 413 | 503
  readonly found: string
}

/** Whether a body is refused for its announced length: then it need not come. */
export const isTooLong = ({ headers }: Request): boolean =>
  Number(headers.get('content-length')) > MAXIMUM_BODY

/**
 * The connection of a body that is refused with 408 must be closed: the rest of it may still come.
 */
export const readCallBody = (
  request: Request,
  room: BodyRoom,
  pace?: BodyPace,
): Promise<CallBody> => {
  if (isTooLong(request)) return Promise.resolve(tooLong)
  const bytes = createCollector(room)
  return new Promise((resolve, reject) => {
    let isLate = false
    const late = (): void => {
      isLate = true
      bytes.release()
      const found = `the body came too slowly: ${bytes.length} bytes have come`
      resolve({ status: 408, found })
    }
    const unwatch = watchPace(() => bytes.length, late, pace)
    collect(request, bytes, () => isLate)
      .then((refused) => resolve(refused ?? textOf(bytes)))
      .catch(reject)
      .finally(unwatch)
  })
}

const tooLong: RefusedBody = {
  status: 413,
  found: `the body is longer than ${MAXIMUM_BODY} bytes`,
}

const noRoom: RefusedBody = {
  status: 503,
  found: 'too many long bodies have come at a time, try again later',
}

/** Nobody is there any more who could read the answer. */
const cut: RefusedBody = { status: 200, found: 'the connection ended before the body did' }

/** @returns why there is no whole body; its room has been given back then */
const collect = async (
  request: Request,
  bytes: Collector,
  isLate: () => boolean,
): Promise<RefusedBody | undefined> => {
  const refuse = (refused: RefusedBody): RefusedBody => {
    bytes.release()
    return refused
  }
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader()
  for (;;) {
    const next = await reader?.read().catch(() => cut)
    if (next !== undefined && 'found' in next) return refuse(next)
    if (isLate() || next?.value === undefined) return undefined
    if (bytes.length + next.value.length > MAXIMUM_BODY) return refuse(tooLong)
    if (!bytes.add(next.value)) return refuse(noRoom)
  }
}

const textOf = (bytes: Collector): CallBody => {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.all())
    return { text, release: bytes.release }
  } catch {
    bytes.release()
    return { status: 200, found: 'the body is not UTF-8' }
  }
}
