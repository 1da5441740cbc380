import { expect, test } from 'vitest'
import { nearest } from '../../src/near-names.ts'

const known = ['vdi', 'base', 'format', 'session_id', 'task_id', 'sr_uuid', 'replace']

test.each([
  ['bse', 'base'],
  ['bsae', 'base'],
  ['fmt', 'format'],
  ['formta', 'format'],
  ['Format', 'format'],
  ['vid', 'vdi'],
  ['sesion_id', 'session_id'],
  ['sruuid', 'sr_uuid'],
  ['repalce', 'replace'],
  ['reeplacee', 'replace'],
])('%s is near %s', (name, expected) => expect(nearest(name, known)).toBe(expected))

test.each(['', 'x', 'b', 'uuid', 'host', 'use_compression', 'formatting', 'f'.repeat(100_000)])(
  '%.10s is near none',
  (name) => expect(nearest(name, known)).toBeUndefined(),
)

test('the nearer of two', () => {
  expect(nearest('srid', ['sr_uuid', 'sr_id'])).toBe('sr_id')
})
