// Parent locators: the eight places of the header that say, each for a platform, what the parent's
// path is. They are written so that others find it; in an image that is read no path is followed.

import { strict as assert } from 'node:assert'
import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import { SECTOR_SIZE } from '../../units.ts'
import { MAXIMUM_LOCATOR_SIZE } from './constants.ts'
import type { Field, ValuesOf } from './structure.ts'
import { characters, uint32, uint64 } from './structure.ts'

const locatorCount = 8
const locatorSize = 24

/** A place that is not used. */
const noPlatform = '\0\0\0\0'

const entryFields = (at: number) => ({
  platform: characters(at, 4),
  /**
   * Room for the path: in sectors by the specification, in bytes as Microsoft and XenServer write
   * it.
   */
  space: uint32(at + 4),
  /** Of the path, in bytes. */
  length: uint32(at + 8),
  offset: uint64(at + 16),
})

export type ParentLocator = ValuesOf<ReturnType<typeof entryFields>>

/** The eight entries from `at` on; those that are not used are left out. */
export const locatorEntries = (at: number): Field<readonly ParentLocator[]> => {
  const entries = Array.from({ length: locatorCount }, (_, index) =>
    entryFields(at + index * locatorSize),
  )
  return {
    read: (view, what) =>
      entries.flatMap((fields, index) => {
        const platform = fields.platform.read(view, what)
        if (platform === noPlatform) return []
        const space = fields.space.read(view, what)
        const length = fields.length.read(view, what)
        const offset = fields.offset.read(view, `${what}[${index}].offset`)
        return [{ platform, space, length, offset }]
      }),
    write: (view, locators) => {
      for (const [index, locator] of locators.entries()) {
        const fields = entries[index]!
        fields.platform.write(view, locator.platform)
        fields.space.write(view, locator.space)
        fields.length.write(view, locator.length)
        fields.offset.write(view, locator.offset)
      }
    },
  }
}

/**
 * An empty locator, as XenServer writes into its deltas, passes: nothing is read from it.
 * @param end where the image's content ends
 * @throws AppError IMPORT_ERROR_GENERIC for one that is too long or leaves the image
 */
export const checkLocators = (
  locators: readonly ParentLocator[],
  end: number,
  what: string,
): void => {
  for (const { platform, length, offset } of locators) {
    const name = `the parent locator ${JSON.stringify(platform)}`
    if (length > MAXIMUM_LOCATOR_SIZE) {
      const found = `${name} is ${length} bytes long, the limit is ${MAXIMUM_LOCATOR_SIZE}`
      throw imageError(what, found)
    }
    if (length > 0 && offset + length > end) {
      const found = `${name} of ${length} bytes at ${hex(offset)} leaves the image, which ends at ${hex(end)}`
      throw new PastEndError(what, found)
    }
  }
}

/** Each written locator has a sector to itself: readers of O_DIRECT files need it aligned. */
export const LOCATOR_SPACE = SECTOR_SIZE

export interface WrittenLocator {
  readonly entry: ParentLocator
  /** One sector: the path, zeros behind. */
  readonly bytes: Uint8Array
}

/**
 * Locators that say "beside me, by this name" in the ways that Windows (W2ru, W2ku) and XenServer
 * (all three) decode.
 * @param offsets where the sectors of the three go
 */
export const writtenLocators = (
  fileName: string,
  offsets: readonly [number, number, number],
): WrittenLocator[] => {
  const windowsPath = Buffer.from(`.\\${fileName}`, 'utf16le')
  const url = Buffer.from(`file://./${fileName}`, 'utf8')
  assert(!/[/\\]/.test(fileName), `"${fileName}" is a path, not a name`)
  assert(windowsPath.length <= LOCATOR_SPACE, `"${fileName}" is too long for a VHD parent`)
  const paths = [
    ['W2ru', windowsPath],
    ['W2ku', windowsPath],
    ['MacX', url],
  ] as const
  return paths.map(([platform, path], index) => {
    const bytes = new Uint8Array(LOCATOR_SPACE)
    bytes.set(path)
    const offset = offsets[index]!
    return { entry: { platform, space: LOCATOR_SPACE, length: path.length, offset }, bytes }
  })
}
