import { describe, expect, test } from 'vitest'
import {
  closingFooterSize,
  encodeFooter,
  parseFooter,
  tryParseFooter,
  vhdTime,
  virtualSizeOf,
} from '../../../../src/formats/vhd/footer.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import { buildFooter, onesComplement, sealFooter } from '../../../support/vhd-images.ts'

const uuid = '6d3f2f4e-7c1b-4a57-9d0e-1f2a3b4c5d6e'
const timestamp = new Date('2026-01-02T03:04:05Z')

const encode = (diskType: number, size = 10 * MiB): Buffer =>
  Buffer.from(encodeFooter({ diskType, size, uuid, timestamp }))

/** A valid footer with a change, its checksum made right again. */
const changed = (change: (footer: Buffer) => void): Buffer => {
  const footer = encode(3)
  change(footer)
  sealFooter(footer, 0)
  return footer
}

describe('a written footer', () => {
  test('has each field in its place', () => {
    const footer = encode(3)
    expect(footer.length).toBe(512)
    expect(footer.toString('latin1', 0, 8)).toBe('conectix')
    expect(footer.readUInt32BE(8)).toBe(2)
    expect(footer.readUInt32BE(12)).toBe(0x00010000)
    expect(footer.readBigUInt64BE(16)).toBe(512n)
    expect(footer.readUInt32BE(24)).toBe(timestamp.getTime() / 1000 - 946_684_800)
    expect(footer.toString('latin1', 28, 32)).toBe('tap\0')
    expect(footer.readUInt32BE(32)).toBe(0x00010003)
    expect(footer.readUInt32BE(36)).toBe(0)
    expect(footer.readBigUInt64BE(40)).toBe(BigInt(10 * MiB))
    expect(footer.readBigUInt64BE(48)).toBe(BigInt(10 * MiB))
    expect([footer.readUInt16BE(56), footer[58], footer[59]]).toEqual([301, 4, 17])
    expect(footer.readUInt32BE(60)).toBe(3)
    expect(footer.toString('hex', 68, 84)).toBe(uuid.replaceAll('-', ''))
    expect(footer.subarray(84).every((byte) => byte === 0)).toBe(true)
    const checksum = footer.readUInt32BE(64)
    footer.writeUInt32BE(0, 64)
    expect(checksum).toBe(onesComplement(footer))
  })

  test('of a fixed disk has no data offset', () => {
    expect(encode(2).readBigUInt64BE(16)).toBe(0xffffffffffffffffn)
  })

  test('parses to what was written', () => {
    expect(parseFooter(encode(4), 'test')).toMatchObject({
      diskType: 4,
      currentSize: 10 * MiB,
      dataOffset: 512,
      uuid,
      creator: 'tap\0',
    })
  })

  test('needs a UUID that is one', () => {
    const wrong = { diskType: 3, size: MiB, uuid: 'nobody', timestamp }
    expect(() => encodeFooter(wrong)).toThrow('"nobody" is not a UUID')
  })
})

describe('a footer that is read', () => {
  test.each([
    ['cookie', (footer: Buffer) => footer.write('conectiX'), 'starts with 63 6f 6e 65 63 74 69 58'],
    ['version', (footer: Buffer) => footer.writeUInt32BE(0x20000, 12), 'version is 0x00020000'],
    ['type 0', (footer: Buffer) => footer.writeUInt32BE(0, 60), 'disk type is 0, must be 2'],
    ['type 5', (footer: Buffer) => footer.writeUInt32BE(5, 60), 'disk type is 5, must be 2'],
    [
      'size beyond 2^53',
      (footer: Buffer) => footer.writeBigUInt64BE(1n << 53n, 48),
      'currentSize: 0x20000000000000 is larger than 2^53 - 1',
    ],
    [
      'header beyond 2^53',
      (footer: Buffer) => footer.writeBigUInt64BE(0xfffffffffffffffen, 16),
      'dataOffset: 0xfffffffffffffffe is larger',
    ],
  ])('with a wrong %s is refused', (_name, change, message) => {
    const footer = changed(change)
    expect(() => parseFooter(footer, 'Cannot test')).toThrow(message)
    expect(() => parseFooter(footer, 'Cannot test')).toThrow(/^Cannot test: /)
    expect(tryParseFooter(footer)).toBeUndefined()
  })

  test.each(Array.from({ length: 512 }, (_, at) => at).filter((at) => at % 31 === 0))(
    'with a changed byte %d is refused by its checksum',
    (at) => {
      const footer = encode(3)
      footer[at]! ^= 0x40
      expect(tryParseFooter(footer)).toBeUndefined()
    },
  )

  test('names both checksums', () => {
    const footer = encode(3)
    const checksum = footer.readUInt32BE(64)
    footer.writeUInt32BE(checksum - 1, 64)
    const hex = (value: number) => `0x${value.toString(16)}`
    expect(() => parseFooter(footer, 'x')).toThrow(
      `the footer's checksum is ${hex(checksum - 1)}, its bytes give ${hex(checksum)}`,
    )
  })

  test('marked as hidden by early XenServer tools, without a new checksum, is taken', () => {
    const footer = encode(3)
    footer[85] = 1
    expect(parseFooter(footer, 'x').hidden).toBe(1)
    footer[86] = 1
    expect(tryParseFooter(footer)).toBeUndefined()
    const other = Buffer.from(buildFooter({ size: MiB, creator: 'win ' }))
    other[85] = 1
    expect(tryParseFooter(other)).toBeUndefined()
  })

  test('may have all ones for the offset of what is not there', () => {
    expect(parseFooter(encode(2), 'x').dataOffset).toBeUndefined()
  })
})

describe('virtual size', () => {
  const sizeOf = (creator: string, geometry: readonly [number, number, number]): number =>
    virtualSizeOf(parseFooter(buildFooter({ size: 10 * MiB, creator, geometry }), 'x'), 'x')
  const counted = 302 * 4 * 17 * 512

  test.each(['tap\0', 'CTXS', 'qem2', 'win ', 'wa\0\0', 'd2v ', 'caml', 'xo  ', '\0\0\0\0'])(
    'of creator %j is current_size',
    (creator) => {
      expect(sizeOf(creator, [302, 4, 17])).toBe(10 * MiB)
    },
  )

  test.each(['vpc ', 'qemu', 'vs  '])('of creator %j is cylinders × heads × sectors', (creator) => {
    expect(sizeOf(creator, [302, 4, 17])).toBe(counted)
  })

  test.each(['vpc ', 'qemu', 'vs  '])(
    'of creator %j with the largest geometry is current_size',
    (creator) => {
      expect(sizeOf(creator, [65_535, 16, 255])).toBe(10 * MiB)
    },
  )

  const checked = (size: number, geometry?: readonly [number, number, number]) => () =>
    virtualSizeOf(
      parseFooter(
        buildFooter({
          size,
          creator: geometry === undefined ? 'win ' : 'vpc ',
          geometry: geometry ?? [1, 1, 1],
        }),
        'x',
      ),
      'Cannot open vhd',
    )

  test('is refused where it is 0, not whole sectors, or above 2040 GiB', () => {
    expect(checked(0)).toThrow('Cannot open vhd: the virtual size is 0')
    expect(checked(MiB, [0, 4, 17])).toThrow('the virtual size is 0')
    expect(checked(MiB + 1)).toThrow('1048577 bytes is not a multiple of 512')
    expect(checked(2040 * GiB + 512)).toThrow(
      'the virtual size is 2190433321472 bytes, the limit is 2190433320960 bytes',
    )
    expect(checked(2040 * GiB)()).toBe(2040 * GiB)
    expect(checked(512)()).toBe(512)
  })
})

test('time is in whole seconds since 2000, within 32 bits', () => {
  expect(vhdTime(new Date('2000-01-01T00:00:00Z'))).toBe(0)
  expect(vhdTime(new Date('2000-01-01T00:01:00.999Z'))).toBe(60)
  expect(vhdTime(new Date('1999-12-31T23:59:59Z'))).toBe(0)
  expect(vhdTime(new Date('2300-01-01T00:00:00Z'))).toBe(0xffffffff)
})

test('only a file that ends 511 bytes after a sector has the short footer', () => {
  expect(closingFooterSize(2048)).toBe(512)
  expect(closingFooterSize(2047)).toBe(511)
  expect(closingFooterSize(2046)).toBe(512)
})
