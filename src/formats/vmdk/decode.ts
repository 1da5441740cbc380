// Stream → writes for VMDK. Where the directory is named by the header, it and its tables are read
// first, whatever lies before them is kept, and the grains follow in the order of the file. Where
// it is named by the footer, the grains tell by their markers which they are: see
// decode-markers.ts.

import type { DiskWrite } from '../../disk/disk.ts'
import { hex } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { SECTOR_SIZE } from '../../units.ts'
import { writesOf } from '../disk-writes.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { KeptStart } from '../kept-start.ts'
import { WriteBatch } from '../write-batch.ts'
import { GRAIN_MARKER_SIZE, HEADER_SIZE } from './constants.ts'
import { decodeByMarkers } from './decode-markers.ts'
import { parseMarker, requireMarker } from './grain-content.ts'
import { createGrainDisk } from './grain-disk.ts'
import { InflatingGrains } from './inflating-grains.ts'
import { directoryLength, isZeroed, tablesEnd } from './grain-tables.ts'
import type { Header } from './header.ts'
import { refuseDescriptor } from './header.ts'
import { loadWhole } from './open.ts'
import type { Structure } from './structure.ts'
import {
  descriptorEnd,
  loadDescriptor,
  loadDirectory,
  loadHeader,
  loadStructure,
} from './structure.ts'

const what = 'Cannot decode vmdk'

/** See ImageFormat.decode. */
export const decodeVmdk = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const kept = new KeptStart(stream, context, what)
  try {
    refuseDescriptor(await stream.peek(HEADER_SIZE), what)
    await kept.keepUntil(HEADER_SIZE, 'header')
    const header = await loadHeader(kept.image, what)
    await kept.keepUntil(descriptorEnd(header, what), 'descriptor')
    await loadDescriptor(kept.image, header, what)
    if (header.directoryOffset !== undefined) {
      return describeDecoded(header, await decodeByTables(stream, kept, header, context))
    }
    // Before the footer has come nobody knows how large the disk is.
    if (header.virtualSize === 0) return await decodeSpooled(kept, context)
    return describeDecoded(header, () => decodeByMarkers(stream, kept, header, context, what))
  } catch (error) {
    await kept.close()
    throw error
  }
}

const describeDecoded = (
  { virtualSize, isUnclean }: Header,
  writes: () => AsyncIterable<DiskWrite>,
): DecodedImage => ({
  virtualSize,
  isDelta: false,
  ...(isUnclean && {
    notes: ['the image says that it was not closed: what was written last may not be in it'],
  }),
  writes,
})

const decodeSpooled = async (kept: KeptStart, context: DecodeContext): Promise<DecodedImage> => {
  await kept.keepRest()
  const structure = await loadWhole(kept.image, what)
  return describeDecoded(structure.header, async function* () {
    try {
      yield* writesOf(createGrainDisk(kept.image, structure, what), context)
    } finally {
      await kept.close()
    }
  })
}

const decodeByTables = async (
  stream: ForwardReader,
  kept: KeptStart,
  header: Header,
  context: DecodeContext,
): Promise<() => AsyncIterable<DiskWrite>> => {
  const { directoryOffset = 0 } = header
  await kept.keepUntil(directoryOffset + directoryLength(header), 'grain directory')
  const directory = await loadDirectory(kept.image, header, what)
  await kept.keepUntil(tablesEnd(header, directory), 'grain tables')
  const end = context.streamLength ?? Number.MAX_SAFE_INTEGER
  const structure = await loadStructure(kept.image, header, directory, end, what)
  return async function* () {
    try {
      yield* zeroRuns(structure)
      yield* header.isCompressed
        ? readCompressed(kept, structure, context)
        : readPlain(kept, structure, context)
      await skipRest(stream, context)
    } finally {
      await kept.close()
    }
  }
}

/** Grains that the tables say are zeros. */
function* zeroRuns({ header, tables }: Structure): Generator<DiskWrite, void, undefined> {
  const { grainSize, virtualSize, tableEntries } = header
  if (!header.hasZeroedGrains) return
  for (const number of tables.numbers) {
    for (let index = 0; index < tableEntries; index += 1) {
      const start = index
      while (index < tableEntries && isZeroed(header, tables.table(number)![index]!)) index += 1
      const offset = (number * tableEntries + start) * grainSize
      const end = Math.min((number * tableEntries + index) * grainSize, virtualSize)
      if (end > offset) yield { kind: 'zero', offset, length: end - offset }
    }
  }
}

async function* readPlain(
  kept: KeptStart,
  { header, tables, grains }: Structure,
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const { grainSize, virtualSize } = header
  const batch = new WriteBatch(buffers, signal)
  try {
    for (const grain of grains) {
      const offset = tables.get(grain) * SECTOR_SIZE
      const length = Math.min(grainSize, virtualSize - grain * grainSize)
      yield* batch.add(grain * grainSize, length, (target, inside) =>
        kept.readOnward(offset + inside, target, `${what}: grain ${grain}`),
      )
    }
    yield* batch.finish()
  } finally {
    batch.close()
  }
}

async function* readCompressed(
  kept: KeptStart,
  { header, tables, grains }: Structure,
  context: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const inflating = new InflatingGrains(header, context)
  try {
    for (const grain of grains) {
      const offset = tables.get(grain) * SECTOR_SIZE
      const name = `${what}: grain ${grain} at ${hex(offset)}`
      const head = new Uint8Array(GRAIN_MARKER_SIZE)
      await kept.readOnward(offset, head, name)
      const marker = parseMarker(head)
      requireMarker(marker, grain, header.grainSize, name)
      const bytes = new Uint8Array(marker.length)
      await kept.readOnward(offset + GRAIN_MARKER_SIZE, bytes, name)
      inflating.add(grain, bytes, name)
      yield* inflating.writes()
    }
    yield* inflating.finish()
  } finally {
    inflating.close()
  }
}

/** Of a known length: what pads the last grain, or was not used. */
const skipRest = async (stream: ForwardReader, { streamLength }: DecodeContext): Promise<void> => {
  if (streamLength !== undefined && stream.offset < streamLength) {
    await stream.skip(streamLength - stream.offset, `${what}: the end`)
  }
}
