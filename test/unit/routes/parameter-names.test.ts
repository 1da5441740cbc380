// Parameters that nobody knows: which are named in a warning.

import { describe, expect, test } from 'vitest'
import {
  exportParameters,
  extentsParameters,
  importParameters,
  machineExportParameters,
  machinesParameters,
  warningOf,
} from '../../../routes/parameter-names.ts'
import { firstCellsUnder } from '../../support/markdown.ts'

const warn = (query: string, known: readonly string[] = exportParameters) =>
  warningOf({ url: `/x?${query}` }, known)

describe('warnings', () => {
  test('a slip is named, with what it may have been meant to be', () => {
    expect(warn('vdi=a&bse=b&fmt=vhd')).toEqual({
      warning:
        '299 diskport "unknown parameter bse is ignored, is base meant?; unknown parameter fmt is ignored, is format meant?"',
    })
    expect(warn('repalce=true', importParameters).warning).toContain('is replace meant?')
  })

  test('what is known, and what is like nothing that is known, is passed over', () => {
    expect(warn(exportParameters.map((name) => `${name}=1`).join('&'))).toEqual({})
    expect(warn('uuid=x&use_compression=true&host=y')).toEqual({})
    expect(warningOf({}, exportParameters)).toEqual({})
  })

  test('no name breaks out of the header', () => {
    expect(warn('bas%22=1&ba%0d%0as=1&b%C3%A4se=1')).toEqual({})
  })
})

test('docs/http-api.md names every parameter, and no other', () => {
  const namesUnder = (heading: string) =>
    new Set(
      firstCellsUnder('docs/http-api.md', heading).flatMap((cell) =>
        Array.from(cell.matchAll(/`(\w+)`/g), ([, name]) => name),
      ),
    )
  expect(namesUnder('## `PUT /import_raw_vdi`')).toEqual(
    // The framing of XenServer's own uploader: nothing for people to set.
    new Set(importParameters.filter((name) => name !== 'chunked')),
  )
  expect(namesUnder('## `PUT /import`')).toEqual(new Set(machinesParameters))
  expect(namesUnder('## `GET` and `HEAD /export`')).toEqual(new Set(machineExportParameters))
  expect(namesUnder('## `GET` and `HEAD /export_raw_vdi`')).toEqual(new Set(exportParameters))
  expect(namesUnder('## `GET` and `HEAD /vdi_extents`')).toEqual(new Set(extentsParameters))
})
