import { expect, test } from 'vitest'
import {
  endingOf,
  formatNames,
  formatOfEnding,
  formatOfQemuName,
  formatsAtRest,
  isFormatName,
} from '../../src/format-table.ts'
import { formats } from '../../src/formats/registry.ts'

test('each format of the table is in the registry, under its own name, and no other', () => {
  expect(Object.keys(formats).toSorted()).toEqual(formatNames.toSorted())
  for (const name of formatNames) expect(formats[name].name).toBe(name)
})

test('formats are found by their endings and by their names in QEMU', () => {
  for (const name of formatNames) expect(formatOfEnding(endingOf(name))).toBe(name)
  expect(formatOfEnding('img')).toBe('raw')
  expect(formatOfEnding('vpc')).toBeUndefined()
  expect(['raw', 'vpc', 'qcow2'].map(formatOfQemuName)).toEqual(['raw', 'vhd', 'qcow2'])
  expect(formatOfQemuName('vhd')).toBeUndefined()
})

test('what VDIs lie in begins with the default', () => {
  expect(formatsAtRest).toEqual(['qcow2', 'vhd', 'raw'])
})

test('only names of the table are names of formats', () => {
  expect(['qcow2', 'QCOW2', 'toString', ''].map(isFormatName)).toEqual([true, false, false, false])
})
