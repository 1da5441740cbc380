import { describe, expect, test } from 'vitest'
import type { DiskWrite } from '../../../../src/disk/disk.ts'
import type { DecodeContext, DecodedImage } from '../../../../src/formats/format.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import type { BufferPool } from '../../../../src/image/buffer-pool.ts'
import { createBufferPool } from '../../../../src/image/buffer-pool.ts'
import type { ForwardReader } from '../../../../src/image/forward-reader.ts'
import { createForwardReader } from '../../../../src/image/forward-reader.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { rebuild } from '../../../laws/format-laws.ts'
import {
  createPatternDisk,
  cutInChunks,
  expectSameBytes,
  listExtents,
  readAll,
} from '../../../support/disks.ts'
import { createCountingSpool } from '../../../support/qcow2-decode.ts'
import type { VhdRecipe } from '../../../support/vhd-images.ts'
import { buildFixedVhd, buildFooter, buildVhd, sealFooter } from '../../../support/vhd-images.ts'

const reader = (bytes: Uint8Array): ForwardReader =>
  createForwardReader(cutInChunks(bytes, [70_001]))

const decode = (bytes: Uint8Array, context: Partial<DecodeContext> = {}): Promise<DecodedImage> =>
  vhd.decode(reader(bytes), {
    buffers: createBufferPool(4, MiB),
    openSpool: () => Promise.reject(new Error('A VHD needs no spool')),
    ...context,
  })

/** Knows the length of the stream, as for a request with a Content-Length. */
const decodeWhole = (bytes: Uint8Array): Promise<DecodedImage> =>
  decode(bytes, { streamLength: bytes.length })

/** Takes all writes, and lets go of their buffers. */
const drain = async (decoded: DecodedImage): Promise<DiskWrite[]> => {
  const writes: DiskWrite[] = []
  for await (const write of decoded.writes()) {
    writes.push(write)
    if (write.kind === 'data') write.release?.()
  }
  return writes
}

const size = 9 * MiB

const recipe: VhdRecipe = {
  size,
  blocks: [
    { block: 4 },
    { block: 0, written: [[0, 8]], gap: 512 * 3 },
    { block: 3, written: [] },
    {
      block: 1,
      written: [
        [5, 6],
        [7, 4000],
      ],
    },
  ],
}

const expectedDisk = createPatternDisk([
  ['data', 4096],
  ['hole', 2 * MiB - 4096],
  ['zero', 5 * 512],
  ['data', 512],
  ['zero', 512],
  ['data', 3993 * 512],
  ['zero', 96 * 512],
  ['hole', 4 * MiB],
  ['data', MiB],
])

describe('a dynamic stream', () => {
  test('gives its blocks in the order of the file, only what is written, the rest zeros', async () => {
    const decoded = await decodeWhole(buildVhd(recipe).bytes)
    expect(decoded.virtualSize).toBe(size)
    expect(decoded.isDelta).toBe(false)
    const writes = await drain(decoded)
    const shown = writes.map((write) => [
      write.kind,
      write.offset,
      write.kind === 'data' ? write.bytes.length : write.length,
    ])
    expect(shown).toEqual([
      ['data', 8 * MiB, MiB],
      ['zero', 4096, MiB - 4096],
      ['data', 0, 4096],
      ['zero', MiB, MiB],
      ['zero', 6 * MiB, MiB],
      ['zero', 7 * MiB, MiB],
      ['zero', 2 * MiB, 5 * 512],
      ['zero', 2 * MiB + 6 * 512, 512],
      ['data', 2 * MiB + 5 * 512, 512],
      ['data', 2 * MiB + 7 * 512, MiB - 7 * 512],
      ['zero', 4 * MiB - 96 * 512, 96 * 512],
      ['data', 3 * MiB, MiB - 96 * 512],
    ])
  })

  test('rebuilds the disk, without a stale byte', async () => {
    const disk = await rebuild(await decodeWhole(buildVhd(recipe).bytes))
    expectSameBytes(await readAll(disk), await readAll(expectedDisk))
  })

  test.each<[string, Partial<VhdRecipe>]>([
    ['a table far behind', { tableOffset: 3 * MiB }],
    ['a header far behind', { headerOffset: MiB }],
    ['room in its table', { tableEntries: 5000 }],
    ['small blocks', { blockSize: 512 * KiB, blocks: [{ block: 17 }, { block: 2 }] }],
    ['a batmap between', { creator: 'tap\0', batmap: new Uint8Array(512) }],
    ['a gap before its footer', { tail: 1000 * 512 }],
    ['a footer of 511 bytes', { footerSize: 511 }],
    ['a gap and a footer of 511 bytes', { tail: 999 * 512, footerSize: 511 }],
    ['no block', { blocks: [] }],
  ])('may have %s, be its length known or not', async (_name, change) => {
    const { bytes } = buildVhd({ ...recipe, blocks: [{ block: 2 }, { block: 1 }], ...change })
    const blockSize = change.blockSize ?? 2 * MiB
    const blocks = (change.blocks ?? [{ block: 2 }, { block: 1 }]).map(({ block }) => block)
    const expected = createPatternDisk(
      Array.from({ length: Math.ceil(size / blockSize) }, (_, block) => [
        blocks.includes(block) ? 'data' : 'hole',
        Math.min(blockSize, size - block * blockSize),
      ]),
    )
    for (const decoded of [await decodeWhole(bytes), await decode(bytes)]) {
      expectSameBytes(await readAll(await rebuild(decoded)), await readAll(expected))
    }
  })

  test('ends after its footer: what follows is not read', async () => {
    const { bytes } = buildVhd(recipe)
    const stream = reader(Buffer.concat([bytes, Buffer.alloc(5000, 1)]))
    const decoded = await vhd.decode(stream, {
      buffers: createBufferPool(4, MiB),
      openSpool: () => Promise.reject(new Error('A VHD needs no spool')),
    })
    await drain(decoded)
    expect(stream.offset).toBe(bytes.length)
  })

  test('knows its size before the first block has come', async () => {
    const { bytes, blockOffsets } = buildVhd({ ...recipe, size: 300 * MiB })
    const decoded = await decode(bytes.subarray(0, blockOffsets[0]))
    expect(decoded.virtualSize).toBe(300 * MiB)
    await expect(drain(decoded)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })

  test('takes its size from the geometry where its creator does', async () => {
    const geometry = [100, 4, 17] as const
    const { bytes } = buildVhd({ ...recipe, creator: 'vpc ', geometry, blocks: [{ block: 1 }] })
    const decoded = await decodeWhole(bytes)
    expect(decoded.virtualSize).toBe(6800 * 512)
    const writes = await drain(decoded)
    const end = Math.max(
      ...writes.map((write) => write.offset + (write.kind === 'data' ? write.bytes.length : 0)),
    )
    expect(end).toBe(6800 * 512)
  })

  test('takes nothing in a block for the footer, not even after the end of the disk', async () => {
    const { bytes, footerOffset } = buildVhd({ ...recipe, blocks: [{ block: 4 }] })
    const other = { size, uuid: 'ffffffff-0000-1111-2222-333333333333' }
    bytes.set(buildFooter(other), footerOffset - 4096)
    await expect(drain(await decodeWhole(bytes))).resolves.toHaveLength(1)
  })

  test('ignores blocks after the end of the disk', async () => {
    // Of the same file, told that the disk is smaller; the footer still comes after all blocks.
    const { bytes, footerOffset } = buildVhd({ ...recipe, blocks: [{ block: 1 }, { block: 4 }] })
    for (const offset of [0, footerOffset]) {
      bytes.writeBigUInt64BE(BigInt(4 * MiB), offset + 48)
      sealFooter(bytes, offset)
    }
    for (const decoded of [await decodeWhole(bytes), await decode(bytes)]) {
      const disk = await rebuild(decoded)
      expect(disk.size).toBe(4 * MiB)
      expect(await listExtents(disk)).toMatchObject([{ kind: 'hole' }, { kind: 'data' }])
    }
  })
})

describe('a differencing stream', () => {
  test('gives only the sectors that are set', async () => {
    const decoded = await decodeWhole(buildVhd({ ...recipe, diskType: 4 }).bytes)
    expect(decoded.isDelta).toBe(true)
    const writes = await drain(decoded)
    expect(writes.map(({ kind, offset }) => [kind, offset])).toEqual([
      ['data', 8 * MiB],
      ['data', 0],
      ['data', 2 * MiB + 5 * 512],
      ['data', 2 * MiB + 7 * 512],
      ['data', 3 * MiB],
    ])
  })

  test('may have locators between its blocks', async () => {
    const built = buildVhd({ ...recipe, diskType: 4, locators: [['W2ru', 0, 0]] })
    const gap = built.blockOffsets[1]! - 1024
    const { bytes } = buildVhd({ ...recipe, diskType: 4, locators: [['W2ru', gap, 80]] })
    expect(await drain(await decodeWhole(bytes))).toHaveLength(5)
  })
})

describe('buffers', () => {
  test('come from the pool and all go back, shared by the runs of a piece', async () => {
    const inner = createBufferPool(1, MiB)
    let lent = 0
    const buffers: BufferPool = {
      bufferSize: inner.bufferSize,
      close: () => inner.close(),
      async take(signal) {
        const { bytes, release } = await inner.take(signal)
        lent += 1
        const giveBack = (): void => {
          lent -= 1
          release()
        }
        return { bytes, release: giveBack }
      },
    }
    const decoded = await decode(buildVhd(recipe).bytes, { buffers })
    for await (const write of decoded.writes()) {
      if (write.kind !== 'data') continue
      expect(lent).toBe(1)
      write.release?.()
      write.release?.()
    }
    expect(lent).toBe(0)
  })

  test('of any size do', async () => {
    for (const bufferSize of [4096, 5000, 3 * MiB]) {
      const buffers = createBufferPool(2, bufferSize)
      const decoded = await decode(buildVhd(recipe).bytes, { buffers })
      expectSameBytes(await readAll(await rebuild(decoded)), await readAll(expectedDisk))
    }
  })

  test('go back when the stream ends in the middle of one', async () => {
    const buffers = createBufferPool(1, MiB)
    const { bytes, blockOffsets } = buildVhd(recipe)
    const decoded = await decode(bytes.subarray(0, blockOffsets[0]! + MiB), { buffers })
    await expect(drain(decoded)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    await expect(buffers.take()).resolves.toBeDefined()
  })

  test('are not waited for once the signal is aborted', async () => {
    const buffers = createBufferPool(1, MiB)
    await buffers.take()
    const controller = new AbortController()
    const decoded = await decode(buildVhd(recipe).bytes, { buffers, signal: controller.signal })
    const writing = drain(decoded)
    controller.abort(new Error('enough'))
    await expect(writing).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })
})

describe('a stream that goes only forward is refused', () => {
  test.each<[string, Partial<VhdRecipe>, string]>([
    [
      'with its table before its header',
      { headerOffset: 4096, tableOffset: 512 },
      'the table at 0x200 lies before what tells of it, which ends at 0x1400: the image cannot be read as a stream',
    ],
  ])('%s', async (_name, change, message) => {
    const { bytes } = buildVhd({ ...recipe, ...change })
    await expect(decodeWhole(bytes)).rejects.toThrow(message)
    await expect(decodeWhole(bytes)).rejects.toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
  })

  test('with a block before its table', async () => {
    const { bytes, tableOffset } = buildVhd({ ...recipe, tableOffset: 4 * MiB })
    bytes.writeUInt32BE(MiB / 512, tableOffset)
    await expect(decodeWhole(bytes)).rejects.toThrow(
      'block 0 at 0x100000 lies before what tells of it, which ends at 0x400200',
    )
  })
})

describe('the closing footer', () => {
  test('must be there', async () => {
    const { bytes, footerOffset } = buildVhd(recipe)
    const missing = drain(await decode(bytes.subarray(0, footerOffset)))
    await expect(missing).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: `Cannot decode vhd: the stream ends after ${footerOffset} bytes, expected the footer at ${footerOffset}; the upload is incomplete: send all of the image`,
    })
  })

  test('must be a footer', async () => {
    const { bytes, footerOffset } = buildVhd(recipe)
    bytes.fill(3, footerOffset)
    for (const decoded of [await decodeWhole(bytes), await decode(bytes)]) {
      await expect(drain(decoded)).rejects.toMatchObject({
        code: 'IMPORT_ERROR_GENERIC',
        message: expect.stringContaining(
          `no footer closes the image: the last sector before 0x${bytes.length.toString(16)} starts with 03 03 03 03 03 03 03 03`,
        ) as string,
      })
    }
  })

  test('must be that of the same image', async () => {
    const { bytes, footerOffset } = buildVhd(recipe)
    const uuid = 'ffffffff-0000-1111-2222-333333333333'
    bytes.set(buildFooter({ size, uuid }), footerOffset)
    await expect(drain(await decodeWhole(bytes))).rejects.toThrow(
      `the closing footer is of ${uuid} with 9437184 bytes, the first of 00112233-4455-6677-8899-aabbccddeeff with 9437184 bytes`,
    )
    bytes.set(buildFooter({ size: size + 512 }), footerOffset)
    await expect(drain(await decodeWhole(bytes))).rejects.toThrow(
      'with 9437696 bytes, the first of',
    )
  })

  test('of 511 bytes counts only where no byte was announced after it', async () => {
    const { bytes } = buildVhd(recipe)
    const short = bytes.subarray(0, -1)
    await expect(drain(await decode(short))).resolves.toBeDefined()
    await expect(drain(await decode(short, { streamLength: bytes.length }))).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
    })
  })
})

describe('a fixed stream', () => {
  const fixedDisk = createPatternDisk([['data', size]])

  test.each([512, 511])('of known length is all but its footer of %d bytes', async (footerSize) => {
    const decoded = await decodeWhole(buildFixedVhd({ size, footerSize }))
    expect(decoded.virtualSize).toBe(size)
    expect(decoded.isDelta).toBe(false)
    expectSameBytes(await readAll(await rebuild(decoded)), await readAll(fixedDisk))
  })

  test.each([512, 511])(
    'of unknown length is what the VDI holds, with a footer of %d bytes',
    async (footerSize) => {
      for (const bufferSize of [MiB, 4096, 3 * MiB + 1024]) {
        const decoded = await decode(buildFixedVhd({ size, footerSize }), {
          diskSize: size,
          buffers: createBufferPool(4, bufferSize),
        })
        expect(decoded.virtualSize).toBe(size)
        expectSameBytes(await readAll(await rebuild(decoded)), await readAll(fixedDisk))
      }
    },
  )

  test.each([512, 1024, 4096 - 512, 4096, 4096 + 512])(
    'of unknown length and %d bytes ends right in buffers of 4 KiB',
    async (length) => {
      for (const footerSize of [512, 511]) {
        const decoded = await decode(buildFixedVhd({ size: length, footerSize }), {
          diskSize: length,
          buffers: createBufferPool(2, 4096),
        })
        const expected = createPatternDisk([['data', length]])
        expectSameBytes(await readAll(await rebuild(decoded)), await readAll(expected))
      }
    },
  )

  test('of unknown length may be smaller than the VDI', async () => {
    const decoded = await decode(buildFixedVhd({ size: MiB }), { diskSize: size })
    const written = await drain(decoded)
    expect(
      written.reduce((sum, write) => sum + (write.kind === 'data' ? write.bytes.length : 0), 0),
    ).toBe(MiB)
  })

  test('of unknown length may round the VDI up, with zeros', async () => {
    const bytes = buildFixedVhd({ size })
    bytes.fill(0, 8 * MiB, size)
    const disk = await rebuild(await decode(bytes, { diskSize: 8 * MiB }))
    expectSameBytes(await readAll(disk), (await readAll(fixedDisk)).subarray(0, 8 * MiB))
  })

  test('of unknown length must not go on after the VDI', async () => {
    const bytes = buildFixedVhd({ size })
    await expect(drain(await decode(bytes, { diskSize: 8 * MiB }))).rejects.toThrow(
      "data at 8388608, after the VDI's 8388608 bytes (8 MiB)",
    )
    bytes.fill(0, 6 * MiB, size)
    await expect(drain(await decode(bytes, { diskSize: 6 * MiB }))).rejects.toThrow(
      'bytes came and more may follow, the VDI has 6291456 bytes (6 MiB)',
    )
  })

  test.each([512, 511])(
    'whose size nobody tells waits for its footer of %d bytes, its zeros outside of the spool',
    async (footerSize) => {
      const bytes = buildFixedVhd({ size, footerSize })
      bytes.fill(0, 2 * MiB, 6 * MiB)
      for (const bufferSize of [MiB, 4096]) {
        const spool = createCountingSpool()
        const buffers = createBufferPool(4, bufferSize)
        const decoded = await decode(bytes, { buffers, openSpool: spool.open })
        expect(decoded).toMatchObject({ virtualSize: size, isDelta: false })
        expectSameBytes(await readAll(await rebuild(decoded)), bytes.subarray(0, size))
        expect(spool.counts).toMatchObject({ opened: 1, closed: 1 })
        expect(spool.counts.appended).toBeLessThanOrEqual(bytes.length - 3 * MiB)
      }
    },
  )

  test('whose size nobody tells and that is no VHD leaves nothing in the spool', async () => {
    for (const bytes of [Buffer.alloc(3 * MiB), Buffer.alloc(5000, 9)]) {
      const spool = createCountingSpool()
      await expect(decode(bytes, { openSpool: spool.open })).rejects.toThrow('this is no VHD')
      expect(spool.counts).toMatchObject({ opened: 1, closed: 1 })
    }
  })

  test('may begin with bytes that are a footer of a fixed disk', async () => {
    const bytes = buildFixedVhd({ size })
    bytes.set(buildFooter({ size: MiB, diskType: 2 }))
    const disk = await rebuild(await decodeWhole(bytes))
    expectSameBytes(await readAll(disk), bytes.subarray(0, size))
  })

  test('that was rounded by geometry counts by either of its sizes', async () => {
    const data = 6800 * 512
    for (const currentSize of [data, 5 * MiB]) {
      const made = { size: currentSize, creator: 'vpc ', geometry: [100, 4, 17] as const }
      const decoded = await decodeWhole(buildFixedVhd(made, data))
      await expect(drain(decoded)).resolves.toHaveLength(4)
    }
  })

  test('must close with the footer of a fixed disk of its size', async () => {
    const other = buildFixedVhd({ size: size + 512 }, size)
    await expect(drain(await decodeWhole(other))).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message:
        'Cannot decode vhd: the closing footer is of a disk of 9437696 bytes, 9437184 bytes (9 MiB) came before it',
    })
    const dynamic = buildFixedVhd({ size })
    dynamic.set(buildFooter({ size, diskType: 3 }), size)
    await expect(drain(await decodeWhole(dynamic))).rejects.toThrow(
      'the closing footer is of disk type 3, but the stream does not start with a copy of it',
    )
  })

  test('that is no VHD at all is refused with its first bytes', async () => {
    const bytes = Buffer.alloc(MiB, 9)
    bytes.write('QFI\u00fb', 'latin1')
    const message =
      'this is no VHD: it starts with 51 46 49 fb 09 09 09 09 and its last 512 bytes with 09 09 09 09 09 09 09 09, neither is a footer'
    await expect(drain(await decodeWhole(bytes))).rejects.toThrow(message)
    await expect(drain(await decode(bytes, { diskSize: MiB }))).rejects.toThrow(message)
    await expect(decodeWhole(bytes.subarray(0, 5000))).rejects.toThrow(
      'it starts with 51 46 49 fb 09 09 09 09, no footer, and 5000 bytes are not a fixed disk and a footer',
    )
    await expect(drain(await decode(bytes.subarray(0, 5000), { diskSize: MiB }))).rejects.toThrow(
      'this is no VHD',
    )
  })

  test('that ends early is cut short', async () => {
    const bytes = buildFixedVhd({ size })
    for (const length of [600, MiB, size - 1, size, size + 100, size + 511]) {
      const decoded = await decode(bytes.subarray(0, length), { streamLength: bytes.length })
      await expect(drain(decoded), `${length} bytes`).rejects.toMatchObject({
        code: 'VDI_IO_ERROR',
      })
    }
  })
})

test.each([
  [512, '0x0'],
  [600, '0x58'],
  [1023, '0x200'],
])(
  'a dynamic image of %d bytes has no range in which its header could lie',
  async (length, end) => {
    const { bytes } = buildVhd({ size })
    await expect(decodeWhole(bytes.subarray(0, length))).rejects.toThrow(
      `the header of 1024 bytes at 0x200 leaves the image, whose content ends at ${end}`,
    )
  },
)

test('a stream that ends before a first sector is cut short', async () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(511)]) {
    await expect(decode(bytes, { diskSize: size })).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringContaining(
        'Cannot decode vhd: footer: the stream ends after',
      ) as string,
    })
  }
})
