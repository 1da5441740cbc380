// The worker that decompresses batches of pieces, one batch after the other. Run by worker-pool.ts.

import { parentPort } from 'node:worker_threads'
import { constants, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { createInPlace } from './in-place.ts'
import type { Batch, DecompressedBatch, Method } from './messages.ts'
import { zstdWindowLog } from './messages.ts'

type Decompress = (
  bytes: Uint8Array,
  limits: { readonly maxOutputLength: number; readonly chunkSize: number },
) => Uint8Array

const methods: Readonly<Record<Method, Decompress>> = {
  inflate: inflateSync,
  inflateRaw: inflateRawSync,
  zstd: (bytes, limits) =>
    zstdDecompressSync(bytes, {
      ...limits,
      params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog },
    }),
}

const inPlace = {
  inflate: createInPlace('inflate'),
  inflateRaw: createInPlace('inflateRaw'),
  zstd: createInPlace('zstd'),
}

const decompressBatch = (batch: Batch): DecompressedBatch => {
  const { method, unitSize, bytes, lengths, content } = batch
  const limits = { maxOutputLength: unitSize, chunkSize: unitSize }
  let start = 0
  const outcomes = lengths.map((length, index) => {
    const piece = bytes.subarray(start, start + length)
    const target = content.subarray(index * unitSize, (index + 1) * unitSize)
    start += length
    if (inPlace[method]?.(piece, target) === true) return unitSize
    try {
      const held = methods[method](piece, limits)
      target.set(held)
      return held.length
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  })
  return { bytes, content, outcomes }
}

parentPort!.on('message', (batch: Batch) => {
  const done = decompressBatch(batch)
  parentPort!.postMessage(done, [done.bytes.buffer, done.content.buffer])
})
