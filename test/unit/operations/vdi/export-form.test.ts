import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { AskedForm } from '../../../../src/operations/vdi/export-form.ts'
import { requireForm } from '../../../../src/operations/vdi/export-form.ts'
import { places } from '../../../../src/place-table.ts'
import { MiB } from '../../../../src/units.ts'

const formOf = (asked: Partial<AskedForm>) => {
  const { format, options } = requireForm({ options: {}, ...asked })
  return [format.name, options]
}

describe('an export', () => {
  test('is raw unless told', () => {
    expect(formOf({})).toEqual(['raw', {}])
    expect(formOf({ formatName: 'VHD' })).toEqual(['vhd', {}])
  })

  test('for a place is what is taken there', () => {
    expect(formOf({ place: 'azure' })).toEqual(['vhd', { subformat: 'fixed', sizeUnit: MiB }])
    expect(formOf({ place: 'vmware' })).toEqual(['vmdk', { subformat: 'streamOptimized' }])
    expect(formOf({ place: 'HyperV' })).toEqual(['vhdx', {}])
    expect(formOf({ place: 'xenserver' })).toEqual(['vhd', { subformat: 'dynamic' }])
  })

  test('what is told wins', () => {
    expect(formOf({ place: 'azure', options: { subformat: 'Dynamic' } })).toEqual([
      'vhd',
      { subformat: 'dynamic', sizeUnit: MiB },
    ])
    expect(formOf({ place: 'azure', formatName: 'vhdx' })).toEqual(['vhdx', { sizeUnit: MiB }])
    expect(formOf({ place: 'libvirt', options: { delta: 'compact' } })).toEqual([
      'qcow2',
      { delta: 'compact' },
    ])
  })

  test.each([
    [{ place: 'moon' }, 'for', /^must be one of xenserver, azure, /],
    [{ place: 'constructor' }, 'for', /^must be one of /],
    [{ formatName: 'ova' }, 'format', /^must be one of raw, vhd/],
    [{ formatName: 'vhd', options: { subformat: 'thick' } }, 'subformat', /dynamic, fixed for vhd/],
    [{ place: 'libvirt', options: { subformat: 'fixed' } }, 'subformat', /qcow2 has no subformats/],
  ] as const)('%j is refused by name', (asked, parameter, message) => {
    expect(() => formOf(asked)).toThrow(
      expect.objectContaining({
        code: 'VALUE_NOT_SUPPORTED',
        params: [parameter, expect.any(String), expect.stringMatching(message)],
      }),
    )
  })
})

test('each place has a page', () => {
  const pages = readdirSync('docs/moving')
  for (const name of Object.keys(places)) expect(pages).toContain(`${name}.md`)
})
