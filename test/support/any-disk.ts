// Random disks for properties of formats.

import fc from 'fast-check'
import type { PatternPart } from './disks.ts'

/** Stretches of whole sectors, some short, some of several blocks; at most about 12 MiB. */
export const anyDisk: fc.Arbitrary<PatternPart[]> = fc.array(
  fc.tuple(
    fc.constantFrom('data', 'hole', 'zero'),
    fc
      .oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6000 }))
      .map((sectors) => sectors * 512),
  ),
  { minLength: 1, maxLength: 5 },
)
