// The worker that decompresses bzip2, one stream after the other. Run by decompress-in-worker.ts.

import { createRequire } from 'node:module'
import { InputEndedError, putOutput, runWorker, takeInput } from './worker-messages.ts'

/** What is used of seek-bzip, which has no types of its own. */
interface Bunzip {
  /** Decompresses one stream, from its header to the checksum at its end. */
  decode(
    input: {
      readByte(): number
      read(target: Uint8Array, offset: number, length: number): number
    },
    output: { writeByte(byte: number): void },
  ): void
}

const bunzip = createRequire(import.meta.url)('seek-bzip') as Bunzip

const outputSize = 256 * 1024

const createInput = () => {
  let chunk: Uint8Array | undefined
  let at = 0
  const more = (): boolean => {
    while (chunk === undefined || at === chunk.length) {
      chunk = takeInput()
      if (chunk === undefined) return false
      at = 0
    }
    return true
  }
  const readByte = (): number => {
    if (!more()) throw new InputEndedError()
    return chunk![at++]!
  }
  return {
    more,
    stream: {
      readByte,
      read(target: Uint8Array, offset: number, length: number): number {
        for (let index = 0; index < length; index += 1) target[offset + index] = readByte()
        return length
      },
    },
  }
}

const createOutput = () => {
  let bytes = new Uint8Array(outputSize)
  let filled = 0
  const flush = (): void => {
    if (filled > 0) putOutput(filled === outputSize ? bytes : bytes.slice(0, filled))
    bytes = new Uint8Array(outputSize)
    filled = 0
  }
  const writeByte = (byte: number): void => {
    bytes[filled++] = byte
    if (filled === outputSize) flush()
  }
  return { flush, stream: { writeByte } }
}

void runWorker(
  () => {
    const input = createInput()
    const output = createOutput()
    // Parallel compressors write a stream for each block.
    while (input.more()) {
      bunzip.decode(input.stream, output.stream)
      output.flush()
    }
  },
  (error) => (error instanceof Error ? error.message : String(error)),
)
