// Narrows what may differ between two disks to what does, by comparing their content. Reads each
// disk once, only where one of the two holds data, a bounded window at a time.

import { KiB, MiB } from '../units.ts'
import type { BlockMap } from './block-map.ts'
import { createBlockMapBuilder } from './block-map.ts'
import type { Disk } from './disk.ts'
import { throwIfAborted } from './disk.ts'
import type { UnitRun, UnitRuns } from './unit-runs.ts'
import { createRunBuilder } from './unit-runs.ts'
import { isZero } from './zero.ts'

/** What is compared as one: the cluster of QCOW2, of which a block of VHD is a whole number. */
const unitSize = 64 * KiB

/** Bytes of each disk in one window, and how many windows are read at once. */
const windowSize = MiB
const windowCount = 3

/**
 * Called before `bytes` are read: long work lets that of others have its turn there. Undefined: go
 * on.
 * @throws the reason of the signal
 */
export type Step = (bytes: number, signal?: AbortSignal) => Promise<void> | undefined

export interface NarrowOptions {
  readonly signal?: AbortSignal | undefined
  /** Told the fraction of the comparison that is done, 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  readonly step?: Step | undefined
}

/**
 * The units of 64 KiB in which the disks differ, as `data`; the rest is hole. It depends on the
 * content alone, as long as `candidates` leaves out nothing that differs. Beyond its end, `base`
 * shows zeros.
 * @param candidates what may differ, as `data`; of the size of `disk`
 * @throws what a read throws, the reason of `signal`; no read is under way then
 */
export const narrowChanges = async (
  disk: Disk,
  base: Disk,
  candidates: BlockMap,
  { signal, onProgress, step }: NarrowOptions = {},
): Promise<BlockMap> => {
  const units = unitsOf(candidates)
  const [held, heldByBase] = [await dataUnits(disk, units), await dataUnits(base, units)]
  const differing = createRunBuilder()
  const total = held.count + heldByBase.count
  let compared = 0
  const ahead: Window[] = []
  let free: Buffer[][] = []
  const finish = async (): Promise<void> => {
    const { part, reads, buffers } = ahead.shift()!
    const [bytes, baseBytes] = await Promise.all(reads)
    addDiffering(differing, part.unit, bytes, baseBytes)
    free.push(buffers)
    compared += part.length * ((part.isHeld ? 1 : 0) + (part.isHeldByBase ? 1 : 0))
    onProgress?.(compared / total)
  }
  try {
    for (const part of heldParts(held, heldByBase)) {
      const others = step?.(part.length * unitSize, signal)
      if (others !== undefined) {
        // Awaited below; a read that fails first must not leave it unhandled. Who waits holds no
        // buffers.
        others.catch(() => {})
        while (ahead.length > 0) await finish()
        free = []
        await others
      }
      if (ahead.length === windowCount) await finish()
      throwIfAborted(signal)
      const buffers = free.pop() ?? windowBuffers()
      const reads = [
        readPart(part.isHeld ? disk : undefined, disk.size, part, buffers[0]!, signal),
        readPart(part.isHeldByBase ? base : undefined, disk.size, part, buffers[1]!, signal),
      ]
      // Reported when its turn comes; until then it must not count as unhandled.
      for (const read of reads) read.catch(() => {})
      ahead.push({ part, reads, buffers })
    }
    while (ahead.length > 0) await finish()
    throwIfAborted(signal)
  } finally {
    await Promise.allSettled(ahead.flatMap(({ reads }) => reads))
  }
  return mapOf(differing.finish(), disk.size)
}

const windowBuffers = (): Buffer[] => [
  Buffer.allocUnsafe(windowSize),
  Buffer.allocUnsafe(windowSize),
]

/** Units that follow each other, at most a window of them. */
interface Part extends Omit<UnitRun, 'rank'> {
  readonly isHeld: boolean
  readonly isHeldByBase: boolean
}

interface Window {
  readonly part: Part
  /** Of the disk, of the base: undefined for zeros. */
  readonly reads: readonly Promise<Buffer | undefined>[]
  readonly buffers: Buffer[]
}

const unitsOf = (map: BlockMap): UnitRuns => {
  const builder = createRunBuilder()
  for (const { offset, length, kind } of map.runs()) {
    if (kind === 'hole') continue
    builder.add(Math.floor(offset / unitSize), Math.ceil((offset + length) / unitSize))
  }
  return builder.finish()
}

/** Those of `units` in which the disk holds data. */
const dataUnits = async (disk: Disk, units: UnitRuns): Promise<UnitRuns> => {
  const builder = createRunBuilder()
  for (const { unit, length: count } of allOf(units)) {
    const offset = unit * unitSize
    const length = Math.min(count * unitSize, disk.size - offset)
    if (length <= 0) break
    for await (const extent of disk.extents({ offset, length })) {
      if (extent.kind !== 'data') continue
      const from = Math.floor(extent.offset / unitSize)
      builder.add(from, Math.ceil((extent.offset + extent.length) / unitSize))
    }
  }
  return builder.finish()
}

const allOf = (units: UnitRuns): Iterable<UnitRun> => units.between(0, Number.MAX_SAFE_INTEGER)

/**
 * The units that either holds, ascending, cut where one of the two begins or ends, and into
 * windows.
 */
function* heldParts(held: UnitRuns, heldByBase: UnitRuns): Generator<Part, void, undefined> {
  const [one, other] = [runWalk(held), runWalk(heldByBase)]
  for (let unit = 0; ;) {
    one.passTo(unit)
    other.passTo(unit)
    const start = Math.max(unit, Math.min(one.from, other.from))
    if (start === Infinity) return
    const edges = [one, other].map(({ from, to }) => (from <= start ? to : from))
    const end = Math.min(start + windowSize / unitSize, ...edges)
    const [isHeld, isHeldByBase] = [one.from <= start, other.from <= start]
    yield { unit: start, length: end - start, isHeld, isHeldByBase }
    unit = end
  }
}

/** Stands on one run of `units`; after the last one at Infinity. */
const runWalk = (units: UnitRuns) => {
  const runs = allOf(units)[Symbol.iterator]()
  const walk = {
    from: 0,
    to: 0,
    /** Goes on until the run ends after `unit`. */
    passTo(unit: number) {
      while (walk.to <= unit) {
        const next = runs.next()
        const run = next.done === true ? { unit: Infinity, length: Infinity } : next.value
        walk.from = run.unit
        walk.to = run.unit + run.length
      }
    },
  }
  return walk
}

/** The bytes of a part, as far as `size` reaches; undefined where the disk is not asked. */
const readPart = async (
  disk: Disk | undefined,
  size: number,
  { unit, length }: Part,
  buffer: Buffer,
  signal: AbortSignal | undefined,
): Promise<Buffer | undefined> => {
  if (disk === undefined) return undefined
  const offset = unit * unitSize
  const bytes = buffer.subarray(0, Math.min(length * unitSize, size - offset))
  const present = Math.max(0, Math.min(bytes.length, disk.size - offset))
  await disk.read(offset, bytes.subarray(0, present), signal)
  bytes.fill(0, present)
  return bytes
}

/** Adds the units, from `first` on, in which the two differ; undefined stands for zeros. */
const addDiffering = (
  differing: ReturnType<typeof createRunBuilder>,
  first: number,
  bytes: Buffer | undefined,
  baseBytes: Buffer | undefined,
): void => {
  const all = bytes ?? baseBytes!
  for (let at = 0; at < all.length; at += unitSize) {
    const end = Math.min(all.length, at + unitSize)
    const isEqual =
      bytes === undefined || baseBytes === undefined
        ? isZero(all.subarray(at, end))
        : bytes.compare(baseBytes, at, end, at, end) === 0
    if (isEqual) continue
    const unit = first + at / unitSize
    differing.add(unit, unit + 1)
  }
}

const mapOf = (units: UnitRuns, size: number): BlockMap => {
  const builder = createBlockMapBuilder()
  let end = 0
  for (const { unit, length } of allOf(units)) {
    const offset = unit * unitSize
    const stop = Math.min(size, (unit + length) * unitSize)
    builder.add(offset - end, 'hole')
    builder.add(stop - offset, 'data')
    end = stop
  }
  builder.add(size - end, 'hole')
  return builder.finish()
}
