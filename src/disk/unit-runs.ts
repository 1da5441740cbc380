// Which units (VHD blocks, QCOW2 clusters) of a disk are present, as runs with prefix sums: the
// index behind every plan. Answers "the how-manieth present unit is this" and the way back in
// O(log runs); memory grows with the runs, never with the disk.

import type { Disk } from './disk.ts'
import type { ExtentKind } from './extents.ts'

export interface UnitRun {
  /** First unit of the run. */
  readonly unit: number
  /** How many units follow each other, from `unit` on. */
  readonly length: number
  /** How many present units come before `unit`. */
  readonly rank: number
}

export interface UnitRuns {
  /** How many units are present. */
  readonly count: number
  /** How many present units come before `unit`, which need not be present itself. */
  rank(unit: number): number
  /**
   * The run from the present unit with this rank on, to the end of its run; RangeError past
   * `count`.
   */
  runAt(rank: number): UnitRun
  /** The runs that meet the units `from` up to (not including) `to`, clipped to them, ascending. */
  between(from: number, to: number): Iterable<UnitRun>
}

interface RunBuilder {
  /**
   * Adds units `from` up to `to`, in ascending order of `from`; what overlaps or touches the last
   * run joins it.
   */
  add(from: number, to: number): void
  finish(): UnitRuns
}

/** Typed arrays that grow: first unit, units before, for each run. */
export const createRunBuilder = (): RunBuilder => {
  let units = new Float64Array(64)
  let ranks = new Float64Array(65)
  let runs = 0

  const grow = (): void => {
    const largerUnits = new Float64Array(units.length * 2)
    largerUnits.set(units)
    const largerRanks = new Float64Array(units.length * 2 + 1)
    largerRanks.set(ranks)
    units = largerUnits
    ranks = largerRanks
  }

  return {
    add(from, to) {
      const last = runs - 1
      if (last >= 0) {
        const lastEnd = units[last]! + (ranks[runs]! - ranks[last]!)
        if (from <= lastEnd) {
          ranks[runs] = ranks[runs]! + Math.max(0, to - lastEnd)
          return
        }
      }
      if (runs === units.length) grow()
      units[runs] = from
      ranks[runs + 1] = ranks[runs]! + (to - from)
      runs += 1
    },
    finish: (): UnitRuns => unitRunsOf(units.slice(0, runs), ranks.slice(0, runs + 1)),
  }
}

const unitRunsOf = (units: Float64Array, ranks: Float64Array): UnitRuns => {
  const runs = units.length
  const count = ranks[runs]!
  /**
   * Index of the last entry of `values` (the first `runs`) that is ≤ `wanted`; -1 where none is.
   */
  const lastAtMost = (values: Float64Array, wanted: number): number => {
    let low = 0
    let high = runs
    while (low < high) {
      const middle = (low + high) >>> 1
      if (values[middle]! <= wanted) low = middle + 1
      else high = middle
    }
    return low - 1
  }
  const lengthOf = (run: number): number => ranks[run + 1]! - ranks[run]!

  return {
    count,
    rank(unit) {
      const run = lastAtMost(units, unit)
      return run < 0 ? 0 : ranks[run]! + Math.min(lengthOf(run), unit - units[run]!)
    },
    runAt(rank) {
      if (rank < 0 || rank >= count) throw new RangeError(`No unit of rank ${rank} among ${count}`)
      const run = lastAtMost(ranks, rank)
      const inside = rank - ranks[run]!
      return { unit: units[run]! + inside, length: lengthOf(run) - inside, rank }
    },
    *between(from, to) {
      for (let run = Math.max(0, lastAtMost(units, from)); run < runs; run += 1) {
        const start = units[run]!
        if (start >= to) return
        const unit = Math.max(start, from)
        const length = Math.min(start + lengthOf(run), to) - unit
        if (length > 0) yield { unit, length, rank: ranks[run]! + (unit - start) }
      }
    },
  }
}

/** The units of `unitSize` bytes in which the disk has an extent of one of `kinds`. */
export const collectUnitRuns = async (
  disk: Disk,
  unitSize: number,
  kinds: readonly ExtentKind[],
): Promise<UnitRuns> => {
  const builder = createRunBuilder()
  for await (const { offset, length, kind } of disk.extents()) {
    if (!kinds.includes(kind)) continue
    builder.add(Math.floor(offset / unitSize), Math.ceil((offset + length) / unitSize))
  }
  return builder.finish()
}

/** The same runs in units `factor` times as large: which groups hold a present unit. */
export const groupUnitRuns = (runs: UnitRuns, factor: number): UnitRuns => {
  const builder = createRunBuilder()
  for (const { unit, length } of runs.between(0, Number.MAX_SAFE_INTEGER)) {
    builder.add(Math.floor(unit / factor), Math.ceil((unit + length) / factor))
  }
  return builder.finish()
}

/** The other way round: each unit as `factor` smaller ones, of which the disk has `limit`. */
export const splitUnitRuns = (runs: UnitRuns, factor: number, limit: number): UnitRuns => {
  const builder = createRunBuilder()
  for (const { unit, length } of runs.between(0, Number.MAX_SAFE_INTEGER)) {
    builder.add(unit * factor, Math.min(limit, (unit + length) * factor))
  }
  return builder.finish()
}
