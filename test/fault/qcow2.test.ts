// QCOW2 images with a field that is wrong, beyond a limit, or of a kind that is not read: each is
// refused with a message that says what was found, by both ways in, and nothing is allocated by
// what it claims.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { MAXIMUM_DISK_SIZE, MiB } from '../../src/units.ts'
import { listExtents } from '../support/disks.ts'
import { createCountingSpool } from '../support/qcow2-decode.ts'
import type { Patch } from '../support/qcow2-faults.ts'
import {
  all,
  copied,
  entryFor,
  expectRefused,
  extension,
  failureOf,
  incompatible,
  l1Entry,
  l2Entry,
  patched,
  spec,
  u32,
  u64,
} from '../support/qcow2-faults.ts'
import type { ImageSpec } from '../support/qcow2-image.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'

const featureName = (kind: number, bit: number, name: string): Uint8Array =>
  Buffer.concat([Buffer.from([kind, bit]), Buffer.from(name), new Uint8Array(46 - name.length)])

describe('qcow2 headers that are refused', () => {
  const cases: Record<string, [patch: Patch, found: RegExp]> = {
    'another magic': [u32(0, 0x4b444d56), /0x4b444d56, a qcow2 image starts with 0x514649fb/],
    'version 1': [u32(4, 1), /version is 1, only 2 and 3/],
    'version 4': [u32(4, 4), /version is 4, only 2 and 3/],
    'cluster_bits 8': [u32(20, 8), /cluster_bits is 8, must be 9 to 21/],
    'cluster_bits 22': [u32(20, 22), /cluster_bits is 22, must be 9 to 21/],
    'cluster_bits 2^32 - 1': [u32(20, 0xffffffff), /cluster_bits is 4294967295/],
    'a size of 0': [u64(24, 0), /virtual size is 0/],
    'half a sector': [u64(24, 51_300), /51300 bytes is not a multiple of 512/],
    'a size above the limit': [
      u64(24, MAXIMUM_DISK_SIZE + 512),
      /17589500641792 bytes.*the limit is 17589500641280/,
    ],
    'a size of 64 bits': [u64(24, 2n ** 63n), /size: 0x8000000000000000 is larger than 2\^53/],
    AES: [u32(32, 1), /encrypted \(AES, crypt_method 1\)/],
    LUKS: [u32(32, 2), /encrypted \(LUKS, crypt_method 2\)/],
    'an unknown encryption': [u32(32, 9), /encrypted \(an unknown method, crypt_method 9\)/],
    'no L1 table': [u32(36, 0), /L1 table has 0 entries, .* needs 2/],
    'an L1 table that is too short': [u32(36, 1), /L1 table has 1 entries, .* needs 2/],
    'an L1 table above the limit': [u32(36, 4 * MiB + 1), /33554440 bytes.*limit is.*32 MiB/],
    'an L1 table of 2^32 - 1 entries': [u32(36, 0xffffffff), /L1 table has 34359738360 bytes/],
    'an L1 table between clusters': [u64(40, 1000), /L1 table is not at a multiple of 512.*0x3e8/],
    'an L1 table past the end': [u64(40, MiB), /L1 table leaves the image: offset 0x100000, 16 b/],
    'an L1 table that ends past the end': [
      (view, image) => {
        view.setBigUint64(40, BigInt(image.bytes.length - 512))
        view.setUint32(36, 65)
      },
      /L1 table leaves the image: offset 0x[0-9a-f]+, 520 bytes, size/,
    ],
    'an L1 table at 2^60': [u64(40, 2n ** 60n), /l1_table_offset: 0x1000000000000000 is larger/],
    'an L1 table at 2^52': [u64(40, 2n ** 52n), /L1 table leaves the image: offset 0x1000000000/],
    'an L1 table in the header': [u64(40, 0), /L1 table at 0x0 overlaps the header, 0x0 to 0x200/],
    'a refcount table between clusters': [u64(48, 513), /refcount table is not at a mult.*0x201/],
    'a refcount table past the end': [u64(48, MiB), /refcount table leaves.*0x100000, 512 bytes/],
    'a refcount table above the limit': [u32(56, 16_385), /refcount table has 8389120.*8 MiB/],
    'a refcount table over the L1 table': [
      (view, image) => {
        view.setBigUint64(48, BigInt(image.offsets.get('l1')!))
      },
      /overlaps/,
    ],
    '65537 snapshots': [u32(60, 65_537), /nb_snapshots is 65537, the limit is 65536/],
    'snapshots past the end': [all(u32(60, 1), u64(64, MiB)), /snapshot table leaves.*0x100000/],
    'snapshots between clusters': [all(u32(60, 1), u64(64, 700)), /snapshot table is not.*0x2bc/],
    'refcount_order 7': [u32(96, 7), /refcount_order is 7, the limit is 6/],
    'header_length 96': [
      u32(100, 96),
      /header_length is 96, must be a multiple of 8 from 104 to 5/,
    ],
    'header_length 108': [u32(100, 108), /header_length is 108/],
    'a header larger than a cluster': [u32(100, 520), /header_length is 520/],
    'a backing name of 1024': [all(u64(8, 112), u32(16, 1024)), /name is 1024, the limit is 1023/],
    'a backing name past the cluster': [all(u64(8, 504), u32(16, 9)), /0x200: 9 bytes at 0x1f8/],
    'a backing name in the header': [all(u64(8, 96), u32(16, 4)), /outside .*: 4 bytes at 0x60/],
    'a backing name at 2^62': [all(u64(8, 2n ** 62n), u32(16, 4)), /backing_file_offset: 0x4000/],
    'an extension that is too long': [extension(0x12345678, 401), /0x12345678 at 104 has 401 byte/],
    'an extension of 4 GiB': [extension(0xe2792aca, 0xffffffff), /has 4294967295 bytes.*room for/],
    'an extension over the backing name': [all(extension(5, 100), u64(8, 200), u32(16, 9)), /88/],
    '65536 bitmaps': [extension(0x23852875, 24, Uint8Array.of(0, 1, 0, 0)), /bitmaps is 65536, t/],
    'the corrupt bit': [incompatible(1), /marked corrupt.*bit 1\)/],
    'an external data file': [incompatible(2), /external data file, which is never opened.*bit 2/],
    'extended L2 entries in small clusters': [
      incompatible(4),
      /extended L2 entries with clusters of 512 bytes, at least 16384 are needed/,
    ],
    'an unknown compression': [
      all(incompatible(3), (view) => view.setUint8(104, 2), u32(100, 112)),
      /compression type 2 is not known/,
    ],
    'zstd without its bit': [all((view) => view.setUint8(104, 1), u32(100, 112)), /3 is not set/],
    'zlib with the bit of another type': [incompatible(3), /0 \(zlib\), yet.*bit 3 is set/],
    'an unknown bit': [incompatible(5), /feature bit 5 is not known; it has no name in the image/],
    'an unknown bit with a name': [
      all(incompatible(63), extension(0x6803f857, 48, featureName(0, 63, 'time travel'))),
      /feature bit 63 is not known; it is called "time travel"/,
    ],
    'an unknown bit whose name belongs to another kind, and is not printable': [
      all(
        incompatible(63),
        extension(
          0x6803f857,
          96,
          Buffer.concat([featureName(1, 63, 'other'), featureName(0, 63, 'a\u001bb')]),
        ),
      ),
      /it is called "a\?b"/,
    ],
  }
  for (const [name, [patch, found]] of Object.entries(cases)) {
    test(`refused: ${name}`, () => expectRefused(patched(patch), found))
  }
})

describe('qcow2 tables that are refused', () => {
  const name = (cluster: number): string =>
    `the L2 entry of guest offset 0x${(cluster * 512).toString(16)}`
  const cases: Record<string, [patch: Patch, found: RegExp]> = {
    'L1: low reserved bits': [
      l1Entry(0, () => copied | 0x803n),
      /L1 entry 0 has reserved.*0x8000000000000803/,
    ],
    'L1: high reserved bits': [
      l1Entry(1, (image) => entryFor(image, 'l2:1') | (1n << 62n)),
      /L1 entry 1 has reserved/,
    ],
    'L1: bit 56': [
      l1Entry(1, (image) => entryFor(image, 'l2:1') | (1n << 56n)),
      /L1 entry 1 has reserved/,
    ],
    'L1: past the end': [
      l1Entry(1, () => copied | 0x9f0000n),
      /L2 table 1 points past the end of the image: offset 0x9f0000, size 0x/,
    ],
    'L1: at 2^55': [
      l1Entry(1, () => copied | (1n << 55n)),
      /L2 table 1 points past the end.*0x80000000000000,/,
    ],
    'L2: compressed, of nothing that can be': [
      l2Entry(70, () => (1n << 62n) | 0x1234n),
      /guest offset 0x8c00/,
    ],
    'L2: compressed, past the end': [
      l2Entry(70, () => (1n << 62n) | 0x7ffffffffffn),
      /guest offset 0x8c00 points past the end/,
    ],
    'L2: low reserved bits': [
      l2Entry(1, (image) => entryFor(image, 'data:1') | 2n),
      new RegExp(`${name(1)} has reserved bits set`),
    ],
    'L2: bit 56': [
      l2Entry(1, (image) => entryFor(image, 'data:1') | (1n << 56n)),
      new RegExp(`${name(1)} has reserved bits set`),
    ],
    'L2: bit 61': [
      l2Entry(5, () => 1n << 61n),
      new RegExp(`${name(5)} has reserved bits set: 0x2000000000000000`),
    ],
    'L2: past the end': [
      l2Entry(99, () => copied | 0x9f0000n),
      new RegExp(`${name(99)} points past the end of the image: offset 0x9f0000, size 0x`),
    ],
    'L2: the second of a run past the end': [
      all(
        l2Entry(98, (image) => copied | BigInt(image.bytes.length - 512)),
        l2Entry(99, (image) => copied | BigInt(image.bytes.length)),
      ),
      new RegExp(`${name(99)} points past the end`),
    ],
    'L2: zero, past the end': [
      l2Entry(3, () => copied | 0x9f0001n),
      new RegExp(`${name(3)} points past the end`),
    ],
    'L2: at 2^55': [
      l2Entry(0, () => copied | (1n << 55n)),
      /points past the end.*0x80000000000000,/,
    ],
  }
  for (const [title, [patch, found]] of Object.entries(cases)) {
    test(`refused: ${title}`, () => expectRefused(patched(patch), found))
  }

  test('tables and clusters between clusters', async () => {
    const large: ImageSpec = { ...spec, clusterBits: 12, virtualSize: 100 * 4096 }
    const l1 = patched(
      l1Entry(0, (image) => entryFor(image, 'l2:0') + 512n),
      large,
    )
    await expectRefused(l1, /L2 table 0 is not at a cluster: offset 0x4200, clusters of 4096 bytes/)
    const l2 = patched((view, image) => {
      view.setBigUint64(image.offsets.get('l2:0')! + 8, entryFor(image, 'data:1') + 512n)
    }, large)
    await expectRefused(
      l2,
      /guest offset 0x1000 does not point at a cluster: offset 0x[0-9a-f]+200,/,
    )
  })

  test('the zero flag in version 2', async () => {
    const old: ImageSpec = { ...spec, version: 2, clusters: new Map([[0, 'data']]) }
    await expectRefused(
      patched(
        l2Entry(0, (image) => entryFor(image, 'data:0') | 1n),
        old,
      ),
      /guest offset 0x0 has the zero flag, which version 2 does not have, set/,
    )
  })
})

describe.skipIf(!hasTool('qemu-img'))('qcow2 of qemu-img that is not read', () => {
  const expectFileRefused = async (path: string, found: RegExp): Promise<void> => {
    const image = await openFileImage(path)
    const open = async (): Promise<void> => {
      await listExtents(await qcow2.open(image))
    }
    expect((await failureOf(open())).message).toMatch(found)
    await image.close()
    const decode = async (): Promise<void> => {
      const { size } = await stat(path)
      const stream = createForwardReader(createReadStream(path))
      const decoded = await qcow2.decode(stream, {
        buffers: createBufferPool(4, MiB),
        openSpool: createCountingSpool().open,
        streamLength: size,
      })
      for await (const write of decoded.writes()) if (write.kind === 'data') write.release?.()
    }
    expect((await failureOf(decode())).message).toMatch(found)
  }

  test('encrypted with LUKS', async () => {
    const path = join(await createTestFolder(), 'luks.qcow2')
    const secret = ['--object', 'secret,id=key,data=abc']
    const options = 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10'
    await qemuImg('create', ...secret, '-f', 'qcow2', '-o', options, path, '1M')
    await expectFileRefused(path, /encrypted \(LUKS, crypt_method 2\)/)
  })

  test('with an external data file', async () => {
    const folder = await createTestFolder()
    const path = join(folder, 'external.qcow2')
    await qemuImg('create', '-f', 'qcow2', '-o', `data_file=${join(folder, 'data')}`, path, '1M')
    await expectFileRefused(path, /external data file, which is never opened/)
  })
})
