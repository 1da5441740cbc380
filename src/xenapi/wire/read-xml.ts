// Reads a whole XML text that anybody may have sent, without holding up the rest of the server: a
// long one is read a slice at a time, and one after the other. xml-rpc-call.ts makes a call of the
// tokens.

import { setImmediate } from 'node:timers/promises'
import { KiB } from '../../units.ts'
import { createTurns } from './turns.ts'
import type { XmlToken } from './xml-tokens.ts'
import { createXmlTokenizer, XmlError } from './xml-tokens.ts'

/** Characters that are read in one go. What else the server does comes in between. */
const SLICE = 16 * KiB

/** While it reads, the parser may hold many times what a text weighs: one long text at a time. */
const inTurn = createTurns()

/**
 * @param signal aborted when the client has left: the rest is not read
 * @param network whose text it is: networks take turns; default: the server itself
 * @throws XmlError for what is not one well-formed document
 */
export const readXml = async (
  text: string,
  signal?: AbortSignal,
  network = '',
): Promise<readonly XmlToken[]> => {
  if (!text.isWellFormed()) throw new XmlError('it has characters that XML does not allow')
  if (text.length > SLICE) return inTurn(network, () => readInSlices(text, signal))
  const tokenizer = createXmlTokenizer()
  tokenizer.write(text)
  return tokenizer.end()
}

const readInSlices = async (
  text: string,
  signal: AbortSignal | undefined,
): Promise<readonly XmlToken[]> => {
  const tokenizer = createXmlTokenizer()
  for (let at = 0; at < text.length; at += SLICE) {
    if (signal?.aborted === true) throw new XmlError('the client has left')
    tokenizer.write(text.slice(at, at + SLICE))
    await setImmediate()
  }
  return tokenizer.end()
}
