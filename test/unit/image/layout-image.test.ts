import { expect, test } from 'vitest'
import { bytesRegion, createLayoutImage } from '../../../src/image/layout-image.ts'
import { expectSameBytes, fillPattern, readRange } from '../../support/disks.ts'

test('regions follow each other, and any range crosses them', async () => {
  const head = new Uint8Array(100)
  fillPattern(0, head)
  let closed = 0
  const image = createLayoutImage(
    [
      bytesRegion(head),
      bytesRegion(new Uint8Array(0)),
      bytesRegion(new Uint8Array(50)),
      { length: 200, fill: async (offset, target) => fillPattern(offset, target, 7) },
    ],
    async () => {
      closed += 1
    },
  )
  const tail = new Uint8Array(200)
  fillPattern(0, tail, 7)
  const whole = Buffer.concat([head, new Uint8Array(50), tail])
  expect(image.size).toBe(350)
  for (let offset = 0; offset <= 350; offset += 25) {
    for (let length = 0; offset + length <= 350; length += 30) {
      const part = await readRange(image, offset, length)
      expectSameBytes(part, whole.subarray(offset, offset + length), `${length} at ${offset}`)
    }
  }
  await expect(image.read(340, new Uint8Array(11))).rejects.toThrow(RangeError)
  await image.close()
  expect(closed).toBe(1)
})
