// A format as small as one can be, which test/e2e/new-format.test.ts adds to a copy of the server:
// a header of one sector with a signature and the virtual size, then the guest's bytes. It has no
// deltas; its subformat `flowing` is the same, streamed.

import type { Disk, DiskWrite } from '../../src/disk/disk.ts'
import { rangeWithin } from '../../src/disk/disk.ts'
import { AppError, imageError } from '../../src/errors.ts'
import type { FormatName } from '../../src/format-table.ts'
import type { DecodeContext, ImageIdentity, LayerFormat } from '../../src/formats/format.ts'
import { requireVirtualSize } from '../../src/formats/virtual-size.ts'
import { readUint64, viewOf, writeUint64 } from '../../src/image/binary.ts'
import type { ForwardReader } from '../../src/image/forward-reader.ts'
import { bytesRegion, createLayoutImage } from '../../src/image/layout-image.ts'
import { MAXIMUM_DISK_SIZE, SECTOR_SIZE } from '../../src/units.ts'

const name: string = 'toy'
const signature = 'TOYIMAGE'

const buildHeader = (size: number): Uint8Array => {
  const bytes = new Uint8Array(SECTOR_SIZE)
  bytes.set(Buffer.from(signature))
  writeUint64(viewOf(bytes), signature.length, size)
  return bytes
}

const parseHeader = (bytes: Uint8Array, what: string): number => {
  const found = Buffer.from(bytes.subarray(0, signature.length)).toString('latin1')
  if (found !== signature) throw imageError(what, `it starts with "${found}"`)
  const size = readUint64(viewOf(bytes), signature.length, `${what}: size`)
  requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)
  return size
}

const refuseDelta = (uuid: string): AppError =>
  new AppError('VALUE_NOT_SUPPORTED', ['base', uuid, 'there is no toy delta'])

async function* readWrites(
  stream: ForwardReader,
  { buffers, signal }: DecodeContext,
  size: number,
): AsyncGenerator<DiskWrite, void, undefined> {
  for (let offset = 0; offset < size;) {
    const { bytes: buffer, release } = await buffers.take(signal)
    const bytes = buffer.subarray(0, Math.min(buffer.length, size - offset))
    await stream.read(bytes, 'Cannot decode toy')
    yield { kind: 'data', offset, bytes, release }
    offset += bytes.length
  }
}

/** The same bytes as those of `plan`, as if nobody knew how many there will be. */
async function* encode(
  disk: Disk,
  identity: ImageIdentity,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const image = await toy.plan(disk, identity)
  try {
    for (let offset = 0; offset < image.size;) {
      const bytes = new Uint8Array(Math.min(65_536, image.size - offset))
      await image.read(offset, bytes, signal)
      yield bytes
      offset += bytes.length
    }
  } finally {
    await image.close()
  }
}

export const toy: LayerFormat = {
  name: name as FormatName,
  maximumSize: MAXIMUM_DISK_SIZE,
  planVersion: 1,
  planDate: new Date('2026-11-26T00:00:00Z'),
  async open(image) {
    const header = new Uint8Array(SECTOR_SIZE)
    await image.read(0, header)
    const size = parseHeader(header, 'Cannot open toy')
    return {
      size,
      async *extents(range) {
        yield { ...rangeWithin(size, range), kind: 'data' }
      },
      read: (offset, target, signal) => image.read(SECTOR_SIZE + offset, target, signal),
      close: () => image.close(),
    }
  },
  async plan(disk, { base }) {
    if (base !== undefined) throw refuseDelta(base.uuid)
    const fill = (offset: number, target: Uint8Array, signal?: AbortSignal) =>
      disk.read(offset, target, signal)
    const regions = [bytesRegion(buildHeader(disk.size)), { length: disk.size, fill }]
    return createLayoutImage(regions, () => disk.close())
  },
  async decode(stream, context) {
    const header = new Uint8Array(SECTOR_SIZE)
    await stream.read(header, 'Cannot decode toy: header')
    const virtualSize = parseHeader(header, 'Cannot decode toy')
    return { virtualSize, isDelta: false, writes: () => readWrites(stream, context, virtualSize) }
  },
  async createLayer(file, { size, parent }) {
    if (parent !== undefined) throw refuseDelta(parent.uuid)
    await file.truncate(SECTOR_SIZE + size)
    return {
      size,
      write: (offset, source, signal) => file.write(SECTOR_SIZE + offset, source, signal),
      zero: (offset, length, signal) =>
        file.write(SECTOR_SIZE + offset, new Uint8Array(length), signal),
      seal: () => file.write(0, buildHeader(size)),
    }
  },
  describe: async () => ({ isHidden: false }),
  encode,
}
