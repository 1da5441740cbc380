// Keys of `device_config` that a new storage repository is made by.

import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import type { FormatName } from '../../format-table.ts'

/** @throws AppError INVALID_VALUE */
export const readFlag = (deviceConfig: StringMap, key: string): boolean => {
  const value = deviceConfig[key] ?? 'false'
  if (value !== 'true' && value !== 'false') {
    throw new AppError('INVALID_VALUE', [`device_config:${key}`, value.slice(0, 64)], {
      message: `device_config:${key} is true or false, not "${value.slice(0, 64)}"`,
    })
  }
  return value === 'true'
}

/** XCP-ng's key: names parted by commas, the best first. @throws AppError INVALID_VALUE */
export const preferredFormat = (
  deviceConfig: StringMap,
  supported: readonly FormatName[],
): FormatName => {
  const key = 'preferred-image-formats'
  const value = deviceConfig[key] ?? ''
  const names = value.split(',').map((name) => name.trim().toLowerCase())
  const found = names.flatMap((name) => supported.filter((format) => format === name))
  if (value === '') return supported[0]!
  if (found.length > 0) return found[0]!
  throw new AppError('INVALID_VALUE', [`device_config:${key}`, value.slice(0, 64)], {
    message: `device_config:${key} names none of ${supported.join(', ')}: "${value.slice(0, 64)}"`,
  })
}
