import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import { replayLog } from '../../../../src/formats/vhdx/log.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import type { LogUpdate, TestLogEntry } from '../../../support/vhdx-images.ts'
import { buildLogEntry, seal, testLogGuid } from '../../../support/vhdx-images.ts'

const sector = (byte: number): Uint8Array => new Uint8Array(4 * KiB).fill(byte)

const entry = (
  sequenceNumber: number,
  tail: number,
  updates: readonly LogUpdate[],
  more: Partial<TestLogEntry> = {},
): Buffer => buildLogEntry({ sequenceNumber, tail, updates, fileSize: 9 * MiB, ...more })

/** A ring of 1 MiB with these entries in it. */
const ring = (...entries: readonly (readonly [number, Buffer])[]): Buffer => {
  const log = Buffer.alloc(MiB)
  for (const [offset, bytes] of entries) {
    for (let at = 0; at < bytes.length; at += 1) log[(offset + at) % MiB] = bytes[at]!
  }
  return log
}

const replay = (log: Buffer, fileSize?: number) => replayLog(log, testLogGuid, fileSize, 'Test')

/** What 12 KiB of ones at 1 MiB are after the log. */
const patched = (log: Buffer): number[] => {
  const target = new Uint8Array(12 * KiB).fill(1)
  replay(log).updates.apply(MiB, target)
  return [0, 4, 8].map((at) => {
    const part = target.subarray(at * KiB, (at + 4) * KiB)
    expect(part.every((byte) => byte === part[0])).toBe(true)
    return part[0]!
  })
}

const write = (index: number, byte: number): LogUpdate => ({
  offset: MiB + index * 4 * KiB,
  sector: sector(byte),
})
const zero = (index: number, count: number): LogUpdate => ({
  offset: MiB + index * 4 * KiB,
  zeros: count * 4 * KiB,
})

describe('what is replayed', () => {
  test('sectors and zeros, in their order', () => {
    const log = ring([0, entry(1, 0, [write(0, 5), write(1, 6), zero(1, 2), write(2, 7)])])
    expect(patched(log)).toEqual([5, 0, 7])
    expect(replay(log).fileSize).toBe(9 * MiB)
  })

  test('from the tail of the newest entry on, not what is older', () => {
    const first = entry(4, 0, [write(0, 4)])
    const second = entry(5, 8 * KiB, [write(1, 5)])
    const third = entry(6, 8 * KiB, [write(2, 6)])
    expect(patched(ring([0, first], [8 * KiB, second], [16 * KiB, third]))).toEqual([1, 5, 6])
  })

  test('entries that go on at the beginning of the ring', () => {
    const start = MiB - 4 * KiB
    const first = entry(1, start, [write(0, 3)])
    const second = entry(2, start, [write(1, 4)])
    expect(patched(ring([start, first], [4 * KiB, second]))).toEqual([3, 4, 1])
  })

  test('an entry that was not wholly written is none', () => {
    const torn = entry(2, 0, [write(1, 9)])
    torn.fill(0, 5 * KiB, 6 * KiB)
    expect(patched(ring([0, entry(1, 0, [write(0, 2)])], [8 * KiB, torn]))).toEqual([2, 1, 1])
  })

  test('entries of another log are none', () => {
    const other = entry(9, 8 * KiB, [write(1, 9)], { guid: '99999999-1111-4222-8333-444444444444' })
    expect(patched(ring([0, entry(1, 0, [write(0, 2)])], [8 * KiB, other]))).toEqual([2, 1, 1])
  })

  test('a newest entry whose tail is gone gives way to the one before', () => {
    const lost = entry(7, 512 * KiB, [write(1, 9)])
    expect(patched(ring([0, entry(1, 0, [write(0, 2)])], [64 * KiB, lost]))).toEqual([2, 1, 1])
  })

  test('a part of a sector is patched too', () => {
    const { updates } = replay(ring([0, entry(1, 0, [write(0, 5), zero(1, 1)])]))
    const target = new Uint8Array(5000).fill(1)
    updates.apply(MiB + 4000, target)
    expect([target[0], target[95], target[96], target[4191], target[4192]]).toEqual([5, 5, 0, 0, 1])
  })
})

describe('what is refused', () => {
  test.each([
    ['an empty log', ring(), /it should hold updates, but there is no whole sequence/],
    [
      'an offset within a sector',
      ring([0, entry(1, 0, [{ offset: 100, zeros: 4096 }])]),
      /descriptor 0: the file offset 0x64 is no multiple of 4096/,
    ],
    [
      'zeros within a sector',
      ring([0, entry(1, 0, [{ offset: MiB, zeros: 100 }])]),
      /descriptor 0: 100 zeros at 0x100000 are not whole sectors/,
    ],
  ])('%s', (_name, log, message) => {
    expect(() => replay(log)).toThrow(message)
    expect(() => replay(log)).toThrow(AppError)
  })

  const damaged = (change: (bytes: Buffer) => unknown): Buffer => {
    const bytes = entry(1, 0, [write(0, 5)])
    change(bytes)
    return ring([0, seal(bytes, 0, bytes.length)])
  }

  test.each([
    ['a count of 2^32', (bytes: Buffer) => bytes.writeUInt32LE(0xffffffff, 24), /do not fit its/],
    ['a descriptor of none', (bytes: Buffer) => bytes.write('none', 64), /neither of data nor of/],
    [
      'another sequence',
      (bytes: Buffer) => bytes.writeBigUInt64LE(9n, 88),
      /sequence number is not/,
    ],
    [
      'a sector of another',
      (bytes: Buffer) => bytes.writeUInt32LE(9, 8188),
      /that of another entry/,
    ],
    ['no sector', (bytes: Buffer) => bytes.writeUInt32LE(2, 24), /descriptor 1/],
    ['an offset of 2^60', (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 60n, 80), /2\^53 - 1/],
  ] as const)('%s', (_name, change, message) => {
    expect(() => replay(damaged(change))).toThrow(message)
  })

  test('an image that is shorter than it was when the log was written', () => {
    const log = ring([0, entry(1, 0, [write(0, 5)])])
    expect(() => replay(log, 9 * MiB - 1)).toThrow(
      'the image has 9437183 bytes, its log says that it had 9437184',
    )
    expect(replay(log, 9 * MiB).fileSize).toBe(9 * MiB)
  })

  test('more zeroed stretches than any program writes', () => {
    const zeros = Array.from({ length: 4096 }, (_, index) => zero(8194 - index * 2, 1))
    expect(patched(ring([0, entry(1, 0, zeros)]))).toEqual([1, 1, 1])
    expect(() => replay(ring([0, entry(1, 0, [...zeros, zero(0, 1)])]))).toThrow(
      'more than 4096 stretches are set to zeros',
    )
  })

  test('entries that would be summed up again and again', () => {
    const log = Buffer.alloc(16 * MiB)
    for (let at = 0; at < log.length; at += 4 * KiB) {
      const head = entry(1, 0, [])
      head.writeUInt32LE(log.length, 8)
      head.copy(log, at, 0, 64)
    }
    expect(() => replay(log)).toThrow('it is damaged: its entries overlap each other')
  })
})
