import { expect, test } from 'vitest'
import {
  endingOf,
  formatTable,
  formatNames,
  formatOfEnding,
  formatOfQemuName,
  formatsAtRest,
  isFormatName,
} from '../../src/format-table.ts'
import { formats, layerFormatOf } from '../../src/formats/registry.ts'

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

test('layers can be written in what VDIs may lie in, and in nothing else', () => {
  for (const name of formatsAtRest) expect(layerFormatOf(name)).toBe(formats[name])
  const others = formatNames.filter((name) => !formatsAtRest.includes(name))
  for (const name of others) {
    expect(() => layerFormatOf(name)).toThrow(`No layer can be written in ${name}`)
  }
})

test('what is streamed is a subformat or a compression, and has an encoder', () => {
  for (const name of formatNames) {
    const { subformats, streamed, compressions = [] } = formatTable[name]
    expect(subformats).toEqual(expect.arrayContaining([...streamed]))
    expect(formats[name].encode !== undefined).toBe(streamed.length + compressions.length > 0)
  }
})
