// Names of subformats and compressions, as people write them.

import { expect, test } from 'vitest'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../../../src/formats/raw/raw.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import { isStreamed, requireOptions } from '../../../../src/operations/vdi/export-options.ts'

test('names are taken in any case, and spelled as the format does', () => {
  expect(requireOptions(vhd, { subformat: 'Fixed' })).toEqual({ subformat: 'fixed' })
  expect(requireOptions(qcow2, { compression: 'ZSTD', delta: 'compact' })).toEqual({
    compression: 'zstd',
    delta: 'compact',
  })
  expect(requireOptions(raw, {})).toEqual({})
})

test('what a format does not have is refused by its name, with what there is', () => {
  const refuse = (...args: Parameters<typeof requireOptions>) =>
    expect(() => requireOptions(...args))
  refuse(raw, { subformat: 'fixed' }).toThrow('raw has no subformats, leave it out')
  refuse(vhd, { compression: 'zlib' }).toThrow('vhd has no compressions, leave it out')
  refuse(vhd, { subformat: 'thick' }).toThrow('must be one of dynamic, fixed for vhd')
  refuse(qcow2, { compression: 'lzma' }).toThrow('must be one of zlib, zstd for qcow2')
})

test('what is compressed is streamed, all else is planned', () => {
  expect(isStreamed(qcow2, { compression: 'zlib' })).toBe(true)
  expect(isStreamed(qcow2, {})).toBe(false)
  expect(isStreamed(vhd, { subformat: 'fixed' })).toBe(false)
  expect(isStreamed(raw, {})).toBe(false)
})
