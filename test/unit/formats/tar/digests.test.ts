import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { checksums } from '../../../../src/formats/tar/checksums.ts'
import { createDigests } from '../../../../src/formats/tar/digests.ts'
import { patternAt } from '../../../support/block-tars.ts'

const length = 4096
const contentOf = (block: number): Uint8Array => patternAt(block * length, length)
const sha1Of = (block: number): string => createHash('sha1').update(contentOf(block)).digest('hex')

/** Digests, and the blocks that were read for them. */
const start = () => {
  const read: number[] = []
  const digests = createDigests(checksums.sha1, async (block, target) => {
    read.push(block)
    target.set(contentOf(block))
  })
  const saw = async (block: number, from: number, to: number): Promise<void> => {
    await digests.saw(block, from, contentOf(block).subarray(from, to))
  }
  return { digests, read, saw }
}

test('a block that was seen from start to end is not read again', async () => {
  const { digests, read, saw } = start()
  for (const block of [0, 5]) {
    await saw(block, 0, 1000)
    await saw(block, 1000, length)
    expect(await digests.of(block, length)).toBe(sha1Of(block))
    expect(await digests.of(block, length)).toBe(sha1Of(block))
  }
  expect(read).toEqual([])
})

test.each([
  ['never seen', []],
  ['seen in part', [[3, 0, 1000]]],
  ['seen from its middle on', [[3, 2048, length]]],
  [
    'seen half twice',
    [
      [3, 0, 2048],
      [3, 0, 2048],
    ],
  ],
  [
    'seen in disorder',
    [
      [3, 0, 1024],
      [3, 2048, length],
      [3, 1024, 2048],
    ],
  ],
  [
    'seen while another was',
    [
      [3, 0, 2048],
      [4, 0, 2048],
      [3, 2048, length],
    ],
  ],
  [
    'followed by as much of another',
    [
      [3, 0, 2048],
      [4, 2048, length],
    ],
  ],
] as const)('a block that was %s is read for its checksum', async (_name, seen) => {
  const { digests, read, saw } = start()
  for (const [block, from, to] of seen) await saw(block, from, to)
  expect(await digests.of(3, length)).toBe(sha1Of(3))
  expect(read).toEqual([3])
})
