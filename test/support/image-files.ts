// Image files as they are read: at rest, and as uploads in odd chunks.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { expect } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { ImageFormat } from '../../src/formats/format.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { openFileSpool } from '../../src/image/spool.ts'
import { KiB } from '../../src/units.ts'
import { expectSameBytes, readAll } from './disks.ts'
import { createFlatWriter } from './qcow2-files.ts'

interface Decoded {
  readonly bytes: Uint8Array
  readonly spools: number
}

export const decodeImageFile = async (
  format: ImageFormat,
  path: string,
  isLengthKnown: boolean,
): Promise<Decoded> => {
  let spools = 0
  const stream = createReadStream(path, { highWaterMark: 65_521 })
  const decoded = await format.decode(createForwardReader(stream), {
    buffers: createBufferPool(4, 64 * KiB),
    openSpool: () => {
      spools += 1
      return openFileSpool(`${path}.spool`)
    },
    ...(isLengthKnown && { streamLength: (await stat(path)).size }),
  })
  const writer = createFlatWriter(decoded.virtualSize)
  await copyWrites(decoded.writes(), writer)
  return { bytes: writer.bytes, spools }
}

/** @param spools that each upload of it takes */
export const expectContent = async (
  format: ImageFormat,
  path: string,
  expected: Uint8Array,
  spools = 0,
): Promise<void> => {
  const opened = await format.open(await openFileImage(path))
  expect(opened.size).toBe(expected.length)
  expectSameBytes(await readAll(opened), expected, 'opened')
  await opened.close()
  for (const isLengthKnown of [true, false]) {
    const decoded = await decodeImageFile(format, path, isLengthKnown)
    expectSameBytes(decoded.bytes, expected, `decoded, length known: ${isLengthKnown}`)
    expect(decoded.spools).toBe(spools)
  }
}
