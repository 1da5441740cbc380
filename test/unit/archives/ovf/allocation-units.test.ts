// Units of OVF, in all the ways in which programs write them.

import { expect, test } from 'vitest'
import { allocationUnits } from '../../../../src/archives/ovf/allocation-units.ts'

test.each([
  ['byte', 1],
  ['byte * 2^10', 1024],
  ['byte * 2^30', 2 ** 30],
  ['bytes*2^20', 2 ** 20],
  ['byte * 1024 * 1024', 2 ** 20],
  ['byte * 10^9', 1e9],
  ['MegaBytes', 2 ** 20],
  ['GB', 2 ** 30],
  ['byte * 2^99', undefined],
  ['acres', undefined],
  ['byte * x', undefined],
  ['', undefined],
  ['constructor', undefined],
])('%s', (text, bytes) => {
  expect(allocationUnits(text)).toBe(bytes)
})
