// Keys of `device_config` as clients write them.

import { describe, expect, test } from 'vitest'
import { preferredFormat, readFlag } from '../../../../src/operations/sr/device-config.ts'

const supported = ['qcow2', 'vhd', 'raw'] as const

describe('a flag', () => {
  test.each([
    [{}, false],
    [{ 'read-only': 'false' }, false],
    [{ 'read-only': 'true' }, true],
  ])('%j', (deviceConfig, expected) => {
    expect(readFlag(deviceConfig, 'read-only')).toBe(expected)
  })

  test.each(['yes', 'TRUE', ''])('"%s" is refused', (value) => {
    expect(() => readFlag({ 'read-only': value }, 'read-only')).toThrow(
      `device_config:read-only is true or false, not "${value}"`,
    )
  })
})

describe('the preferred format', () => {
  test.each([
    [undefined, 'qcow2'],
    ['', 'qcow2'],
    ['raw', 'raw'],
    ['vmdk, VHD,qcow2', 'vhd'],
  ])('%s', (value, expected) => {
    const deviceConfig = value === undefined ? {} : { 'preferred-image-formats': value }
    expect(preferredFormat(deviceConfig, supported)).toBe(expected)
  })

  test('of names that are all unknown is refused', () => {
    const deviceConfig = { 'preferred-image-formats': 'vmdk,vdi' }
    expect(() => preferredFormat(deviceConfig, supported)).toThrow(
      'device_config:preferred-image-formats names none of qcow2, vhd, raw: "vmdk,vdi"',
    )
  })
})
