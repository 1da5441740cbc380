// The calls of one command of xe: as many as it likes, but one place among large answers for all of
// them, and what it prints counts until it has left. Called by the server's wiring.

import type { AnswerRoom, AnswerWork } from '../wire/answer-room.ts'
import type { Dispatcher } from '../dispatch.ts'
import type { Origin } from '../origin.ts'
import type { Wire } from '../wire/values.ts'

interface CommandCalls {
  readonly call: (
    method: string,
    params: readonly unknown[],
    signal?: AbortSignal,
  ) => Promise<unknown>
  /** To be released when the output of the command has been sent, or never will be. */
  readonly work: Pick<AnswerWork, 'hold' | 'leave' | 'release'>
}

/** @param gone aborted when the client has left */
export const beginCommandCalls = (
  dispatcher: Pick<Dispatcher, 'call'>,
  answers: AnswerRoom,
  origin: Origin,
  gone: AbortSignal,
): CommandCalls => {
  const work = answers.begin(gone)
  return {
    call: (method, params, signal) =>
      dispatcher.call({ method, params: params as readonly Wire[] }, signal, origin, work),
    work,
  }
}
