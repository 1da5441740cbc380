import { describe, expect, test } from 'vitest'
import { encodeHeader, parseHeader } from '../../../../src/formats/vhd/header.ts'
import { writtenLocators } from '../../../../src/formats/vhd/parent-locator.ts'
import { GiB, KiB, MiB } from '../../../../src/units.ts'
import { onesComplement, sealHeader } from '../../../support/vhd-images.ts'

const parentUuid = '6d3f2f4e-7c1b-4a57-9d0e-1f2a3b4c5d6e'

/** A valid header for a disk of up to 10 MiB with a change, its checksum made right again. */
const changed = (change: (header: Buffer) => void = () => {}): Buffer => {
  const header = Buffer.from(encodeHeader({ tableOffset: 2048, tableEntries: 5 }))
  change(header)
  sealHeader(header, 0)
  return header
}

describe('a written header', () => {
  test('has each field in its place', () => {
    const header = Buffer.from(encodeHeader({ tableOffset: 2048, tableEntries: 5 }))
    expect(header.length).toBe(1024)
    expect(header.toString('latin1', 0, 8)).toBe('cxsparse')
    expect(header.readBigUInt64BE(8)).toBe(0xffffffffffffffffn)
    expect(header.readBigUInt64BE(16)).toBe(2048n)
    expect(header.readUInt32BE(24)).toBe(0x00010000)
    expect(header.readUInt32BE(28)).toBe(5)
    expect(header.readUInt32BE(32)).toBe(2 * MiB)
    const checksum = header.readUInt32BE(36)
    header.writeUInt32BE(0, 36)
    expect(checksum).toBe(onesComplement(header))
    expect(header.subarray(40).every((byte) => byte === 0)).toBe(true)
  })

  test('names the parent', () => {
    const fileName = `${parentUuid}.vhd`
    const locators = writtenLocators(fileName, [1536, 4096, 4608])
    const timestamp = new Date('2000-01-01T00:01:00Z')
    const header = Buffer.from(
      encodeHeader({
        tableOffset: 2048,
        tableEntries: 5,
        parent: {
          uuid: parentUuid,
          timestamp,
          fileName,
          locators: locators.map(({ entry }) => entry),
        },
      }),
    )
    expect(header.toString('hex', 40, 56)).toBe(parentUuid.replaceAll('-', ''))
    expect(header.readUInt32BE(56)).toBe(60)
    expect(header.readUInt32BE(60)).toBe(0)
    const name = Buffer.from(header.subarray(64, 576)).swap16().toString('utf16le')
    expect(name.replace(/\0+$/, '')).toBe(fileName)
    const entries = [0, 1, 2].map((index) => {
      const at = 576 + index * 24
      return [
        header.toString('latin1', at, at + 4),
        header.readUInt32BE(at + 4),
        header.readUInt32BE(at + 8),
        header.readUInt32BE(at + 12),
        header.readBigUInt64BE(at + 16),
      ]
    })
    expect(entries).toEqual([
      ['W2ru', 512, 84, 0, 1536n],
      ['W2ku', 512, 84, 0, 4096n],
      ['MacX', 512, 49, 0, 4608n],
    ])
    expect(header.subarray(576 + 3 * 24).every((byte) => byte === 0)).toBe(true)
    expect(parseHeader(header, 10 * MiB, 'x').locators).toEqual(locators.map(({ entry }) => entry))
  })
})

describe('a header that is read', () => {
  test.each([
    ['cookie', (header: Buffer) => header.write('cxspars!'), 'header starts with 63 78 73 70'],
    ['version', (header: Buffer) => header.writeUInt32BE(0x20000, 24), 'version is 0x00020000'],
    ['entries', (header: Buffer) => header.writeUInt32BE(4, 28), '4 entries for blocks of 2097152'],
    [
      'entries of all ones',
      (header: Buffer) => header.writeUInt32BE(0xffffffff, 28),
      'the table has 4294967295 entries, the limit is 4194304',
    ],
    [
      'entries above the limit',
      (header: Buffer) => header.writeUInt32BE(4_194_305, 28),
      'the table has 4194305 entries, the limit is 4194304',
    ],
    ['block size 0', (header: Buffer) => header.writeUInt32BE(0, 32), 'block size is 0, must'],
    [
      'block size of no power of two',
      (header: Buffer) => header.writeUInt32BE(3 * MiB, 32),
      'block size is 3145728, must be a power of two from 512 KiB to 256 MiB',
    ],
    [
      'block size too small',
      (header: Buffer) => header.writeUInt32BE(256 * KiB, 32),
      'block size is 262144',
    ],
    [
      'block size too large',
      (header: Buffer) => header.writeUInt32BE(512 * MiB, 32),
      'block size is 536870912',
    ],
    [
      'block size of 2 GiB',
      (header: Buffer) => header.writeUInt32BE(2 * GiB, 32),
      'block size is 2147483648',
    ],
    [
      'table offset',
      (header: Buffer) => header.writeBigUInt64BE(2049n, 16),
      "table's offset 0x801 is not a multiple of 512",
    ],
    [
      'table offset beyond 2^53',
      (header: Buffer) => header.writeBigUInt64BE(1n << 60n, 16),
      'tableOffset: 0x1000000000000000 is larger',
    ],
  ])('with a wrong %s is refused', (_name, change, message) => {
    expect(() => parseHeader(changed(change), 10 * MiB, 'Cannot test')).toThrow(message)
  })

  test.each([512 * KiB, MiB, 2 * MiB, 256 * MiB])('may have blocks of %d bytes', (blockSize) => {
    const header = changed((bytes) => {
      bytes.writeUInt32BE(blockSize, 32)
      bytes.writeUInt32BE(Math.ceil((10 * MiB) / blockSize), 28)
    })
    expect(parseHeader(header, 10 * MiB, 'x').blockSize).toBe(blockSize)
  })

  test('may have room for 4 Mi entries', () => {
    const header = changed((bytes) => bytes.writeUInt32BE(4_194_304, 28))
    expect(parseHeader(header, 10 * MiB, 'x').tableEntries).toBe(4_194_304)
  })

  test.each(Array.from({ length: 34 }, (_, index) => index * 30 + 11))(
    'with a changed byte %d is refused by its checksum',
    (at) => {
      const header = changed()
      header[at]! ^= 0x04
      expect(() => parseHeader(header, 10 * MiB, 'x')).toThrow(/^x: /)
    },
  )

  test('names both checksums', () => {
    const header = changed()
    const checksum = header.readUInt32BE(36)
    header[1023]! ^= 1
    expect(() => parseHeader(header, 10 * MiB, 'x')).toThrow(
      `the header's checksum is 0x${checksum.toString(16)}, its bytes give 0x${(checksum - 1).toString(16)}`,
    )
  })
})
