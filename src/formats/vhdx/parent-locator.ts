// What a differencing VHDX says of the image it lies on: keys and values in UTF-16. Never opened.

import { imageError } from '../../errors.ts'
import { readGuid } from '../guid.ts'
import { PARENT_LOCATOR_TYPE } from './constants.ts'

const countAt = 18
const entriesAt = 20
const entrySize = 12

export interface ParentLocator {
  /** The parent's DataWriteGuid. */
  readonly uuid: string
  /** Paths and names, the best first. */
  readonly names: readonly string[]
}

/** The best first. */
const pathKeys = ['relative_path', 'absolute_win32_path', 'volume_path'] as const

const uuidPattern = /^\{?([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\}?$/i

/** @throws AppError IMPORT_ERROR_GENERIC where it is damaged, or does not name the parent */
export const parseParentLocator = (view: DataView, what: string): ParentLocator => {
  const name = `${what}: parent locator`
  if (view.byteLength < entriesAt) throw imageError(name, `it has only ${view.byteLength} bytes`)
  const type = readGuid(view, 0)
  if (type !== PARENT_LOCATOR_TYPE) {
    throw imageError(name, `its type ${type} is not known: only that of VHDX parents is`)
  }
  const count = view.getUint16(countAt, true)
  if (entriesAt + count * entrySize > view.byteLength) {
    throw imageError(name, `${count} entries do not fit its ${view.byteLength} bytes`)
  }
  const values = new Map<string, string>()
  for (let index = 0; index < count; index += 1) {
    const at = entriesAt + index * entrySize
    const key = textAt(view, view.getUint32(at, true), view.getUint16(at + 8, true), name)
    // Of a key that comes twice the first counts: what is read stays as large as the item.
    if (key.length > 64 || values.has(key)) continue
    if (key !== 'parent_linkage' && !pathKeys.some((path) => path === key)) continue
    values.set(key, textAt(view, view.getUint32(at + 4, true), view.getUint16(at + 10, true), name))
  }
  const uuid = uuidPattern.exec(values.get('parent_linkage') ?? '')?.[1]
  if (uuid === undefined) throw imageError(name, 'it does not name its parent (parent_linkage)')
  const names = pathKeys.flatMap((key) => values.get(key) ?? []).filter((path) => path !== '')
  return { uuid: uuid.toLowerCase(), names }
}

const textAt = (view: DataView, offset: number, length: number, name: string): string => {
  if (offset + length > view.byteLength) {
    throw imageError(name, `a text of ${length} bytes at ${offset} leaves its ${view.byteLength}`)
  }
  return Buffer.from(view.buffer, view.byteOffset + offset, length).toString('utf16le')
}
