// Grains of a stream go to the threads in full batches, however they come.

import { deflateSync } from 'node:zlib'
import { expect, test, vi } from 'vitest'
import type * as pool from '../../../../src/formats/decompression/worker-pool.ts'
import { InflatingGrains } from '../../../../src/formats/vmdk/inflating-grains.ts'
import type { Header } from '../../../../src/formats/vmdk/header.ts'
import { createBufferPool } from '../../../../src/image/buffer-pool.ts'
import { KiB, MiB } from '../../../../src/units.ts'

const counts = vi.hoisted(() => ({ batches: 0 }))

// The real threads, counted.
vi.mock(import('../../../../src/formats/decompression/worker-pool.ts'), async (original) => {
  const real: typeof pool = await original()
  return {
    runBatch(batch) {
      counts.batches += 1
      return real.runBatch(batch)
    },
  }
})

test('16 grains of 64 KiB are a batch, and the rest at the end is one', async () => {
  const grainSize = 64 * KiB
  const grains = 200
  const header = { grainSize, virtualSize: grains * grainSize } as Header
  const inflating = new InflatingGrains(header, { buffers: createBufferPool(4, MiB) })
  const contents = Array.from({ length: grains }, (_, grain) =>
    new Uint8Array(grainSize).fill(grain),
  )
  let end = 0
  const take = async (writes: ReturnType<typeof inflating.finish>): Promise<void> => {
    for await (const write of writes) {
      if (write.kind !== 'data') throw new Error(write.kind)
      expect(write.offset).toBe(end)
      end += write.bytes.length
      for (let inside = 0; inside < write.bytes.length; inside += grainSize) {
        expect(write.bytes[inside]).toBe((write.offset + inside) / grainSize)
      }
      write.release?.()
    }
  }
  for (const [grain, content] of contents.entries()) {
    inflating.add(grain, deflateSync(content), `grain ${grain}`)
    await take(inflating.writes())
  }
  await take(inflating.finish())
  expect(end).toBe(header.virtualSize)
  expect(counts.batches).toBe(Math.ceil(grains / 16))
})
