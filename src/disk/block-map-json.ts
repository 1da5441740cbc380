// A block map as JSON text, in the form of `qemu-img map --output=json`: an array of extents. Reads
// and writes piece by piece, so that beside the map itself memory is bounded.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { streamArray } from 'stream-json/streamers/stream-array.js'
import { AppError, imageError } from '../errors.ts'
import { GiB } from '../units.ts'
import type { BlockMap, MapRun } from './block-map.ts'
import { createBlockMapBuilder } from './block-map.ts'
import { boundJson } from './bound-json.ts'
import type { ExtentKind } from './extents.ts'
import { createStepCounter } from './step-counter.ts'

const what = 'Cannot read the block map'

/** The largest number of entries in a map. Each takes 9 bytes of memory. */
export const MAXIMUM_MAP_ENTRIES = 8 * 1024 * 1024

/** Fewer than the default, because formatting an entry costs more than a step through a map. */
const stepsPerPause = 1024

/**
 * Enough for an array of flat objects with short names and numbers. The largest permitted number of
 * entries takes about 0.75 GiB of text.
 */
const limits = { what, bytes: GiB, depth: 2, tokenLength: 4096 }

/** One stretch, as `qemu-img map --output=json` shows it. */
export interface MapEntry {
  /** Both in bytes. */
  readonly start: number
  readonly length: number
  /** The layer that answers, counted from the top; the last layer for a hole. */
  readonly depth: number
  /** False where no layer holds anything. */
  readonly present: boolean
  /** Whether it reads as zeros. */
  readonly zero: boolean
  readonly data: boolean
}

/** The entry of a run: `present` is false for holes, `data` true for data, `zero` for all else. */
export const mapEntryOf = ({ offset, length, kind, depth }: MapRun): MapEntry => {
  const zero = kind !== 'data'
  return { start: offset, length, depth, present: kind !== 'hole', zero, data: !zero }
}

/** The text of `map`, one line per run. */
export function* writeBlockMapJson(map: BlockMap): Generator<string, void, undefined> {
  let before = '['
  for (const run of map.runs()) {
    yield before + JSON.stringify(mapEntryOf(run))
    before = ',\n'
  }
  yield before === '[' ? '[]\n' : ']\n'
}

/**
 * Writes runs as the same text while they arrive, in pieces of about `pieceLength` characters.
 * Joins neighbours of the same kind and depth. If the source of the runs fails, the text ends
 * without its closing bracket.
 */
export async function* writeRunsJson(
  runs: AsyncIterable<MapRun> | Iterable<MapRun>,
  entryOf: (run: MapRun) => MapEntry,
  pieceLength: number,
): AsyncGenerator<string, void, undefined> {
  let piece = ''
  let before = '['
  let last: MapRun | undefined
  const end = (): void => {
    if (last === undefined) return
    piece += before + JSON.stringify(entryOf(last))
    before = ',\n'
  }
  const step = createStepCounter(stepsPerPause)
  for await (const run of runs) {
    const pause = step()
    if (pause !== undefined) await pause
    if (last?.kind === run.kind && last.depth === run.depth) {
      last = { ...last, length: last.length + run.length }
      continue
    }
    end()
    last = run
    if (piece.length < pieceLength) continue
    yield piece
    piece = ''
  }
  end()
  yield before === '[' ? '[]\n' : `${piece}]\n`
}

/**
 * Reads a map that diskport or qemu-img wrote. Ignores unknown members (`offset`, `compressed`).
 * The text is not trusted: its length, nesting, numbers and entries are bounded.
 * @throws AppError IMPORT_ERROR_GENERIC unless the entries are ascending, gap-free and cover `size`
 *   bytes exactly
 */
export const readBlockMapJson = async (
  source: AsyncIterable<Uint8Array>,
  size: number,
): Promise<BlockMap> => {
  const builder = createBlockMapBuilder()
  const entries = streamArray.withParserAsStream()
  const parsed = pipeline(Readable.from(boundJson(source, limits)), entries)
  // The loop below reports the failure. Without this handler it would also count as unhandled.
  parsed.catch(() => {})
  let end = 0
  try {
    for await (const { key, value } of entries as AsyncIterable<{ key: number; value: unknown }>) {
      if (key >= MAXIMUM_MAP_ENTRIES) {
        throw imageError(what, `it has more than ${MAXIMUM_MAP_ENTRIES} entries`)
      }
      const run = toRun(value, key)
      if (run.offset !== end) {
        throw imageError(what, `entry ${key} starts at ${run.offset}, expected ${end}`)
      }
      if (run.length > size - end) {
        const found = `entry ${key} of ${run.length} bytes at ${end} leaves the ${size} bytes there are`
        throw imageError(what, found)
      }
      builder.add(run.length, run.kind, run.depth)
      end += run.length
    }
    await parsed
  } catch (error) {
    if (error instanceof AppError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new AppError('IMPORT_ERROR_GENERIC', [`${what}: ${reason}`], { cause: error })
  }
  if (end !== size) throw imageError(what, `it covers ${end} bytes of ${size}`)
  return builder.finish()
}

const toRun = (value: unknown, index: number): MapRun => {
  if (typeof value !== 'object' || value === null) {
    throw imageError(what, `entry ${index} is not an object`)
  }
  const { start, length, depth = 0, present = true, data } = value as Record<string, unknown>
  if (!isCount(start) || !isCount(length) || !isCount(depth) || length === 0) {
    const found = JSON.stringify({ start, length, depth })
    throw imageError(
      what,
      `entry ${index} needs start, length and depth as whole numbers: ${found}`,
    )
  }
  if (typeof data !== 'boolean' || typeof present !== 'boolean') {
    throw imageError(what, `entry ${index} needs data and present to be true or false`)
  }
  const unread: ExtentKind = present ? 'zero' : 'hole'
  return { offset: start, length, kind: data ? 'data' : unread, depth }
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0
