// Names of subformats and compressions, as people write them.

import { expect, test } from 'vitest'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../../../src/formats/raw/raw.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import { vmdk } from '../../../../src/formats/vmdk/vmdk.ts'
import { isStreamed, requireOptions } from '../../../../src/operations/vdi/export-options.ts'

test('names are taken in any case, and spelled as the format does', () => {
  expect(requireOptions(vhd, { subformat: 'Fixed' })).toEqual({ subformat: 'fixed' })
  expect(requireOptions(qcow2, { compression: 'ZSTD', delta: 'compact' })).toEqual({
    compression: 'zstd',
    delta: 'compact',
  })
  expect(requireOptions(raw, {})).toEqual({})
})

test.each([
  [raw, { subformat: 'fixed' }, 'raw has no subformats, leave it out'],
  [vhd, { compression: 'zlib' }, 'vhd has no compressions, leave it out'],
  [vhd, { subformat: 'thick' }, 'must be one of dynamic, fixed for vhd'],
  [qcow2, { compression: 'lzma' }, 'must be one of zlib, zstd for qcow2'],
  [raw, { delta: 'compact' } as const, 'there is no raw delta, ask for vhd or qcow2'],
  [vmdk, { delta: 'compatible' } as const, 'there is no vmdk delta, ask for vhd or qcow2'],
])(
  'what $name does not have is refused by its name, with what there is',
  (format, options, said) => {
    expect(() => requireOptions(format, options)).toThrow(said)
  },
)

test('what is compressed is streamed, all else is planned', () => {
  expect(isStreamed(qcow2, { compression: 'zlib' })).toBe(true)
  expect(isStreamed(qcow2, {})).toBe(false)
  expect(isStreamed(vhd, { subformat: 'fixed' })).toBe(false)
  expect(isStreamed(raw, {})).toBe(false)
})
