// Answers to calls as texts, for tests.

import type { Answer } from '../../src/xenapi/rpc/answer.ts'

/** An answer of that text. */
export const answerOf = (text: string): Answer => {
  const bytes = Buffer.from(text)
  return {
    length: bytes.length,
    *pieces() {
      yield bytes
    },
    release: () => {},
  }
}

/** All of it; its length is checked, and it is released. */
export const textOf = (answer: Answer): string => {
  const bytes = Buffer.concat([...answer.pieces()])
  answer.release()
  if (bytes.length !== answer.length) {
    throw new Error(`The answer has ${bytes.length} bytes and says ${answer.length}`)
  }
  return bytes.toString('utf8')
}

type Protocol<Rest extends unknown[]> = (text: string, ...rest: Rest) => Promise<Answer>

/** A protocol whose answers are texts. */
export const inTexts =
  <Rest extends unknown[]>(protocol: Protocol<Rest>) =>
  async (text: string, ...rest: Rest): Promise<string> =>
    textOf(await protocol(text, ...rest))
