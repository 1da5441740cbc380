import { expect, test } from 'vitest'
import { sentenceOf } from '../../src/errors.ts'
import {
  otherOperation,
  srNotAttached,
  unplugged,
  vdiInUse,
  vdiReadOnly,
  vdiTooLarge,
} from '../../src/object-errors.ts'

const uuid = '4f1b2c3d-0000-4000-8000-0123456789ab'
const ref = `OpaqueRef:${uuid}`

test('parameters hold references; people read uuids', () => {
  const errors = [
    vdiReadOnly(uuid),
    vdiTooLarge(uuid, 512),
    vdiInUse(uuid, 'an import'),
    otherOperation('VDI', uuid),
  ]
  expect(errors.map(({ params }) => params)).toEqual([
    [ref],
    [ref, '512'],
    [ref, 'an import'],
    ['VDI', ref],
  ])
  for (const { code, message, params } of errors) {
    expect(message).toContain(uuid)
    expect(message).not.toContain('OpaqueRef')
    // As a client reads them from a task.
    expect(sentenceOf(code, params)).not.toContain('OpaqueRef')
  }
})

test('a disk that is no VDI yet has the null reference', () => {
  expect(vdiTooLarge(undefined, 512).params).toEqual(['OpaqueRef:NULL', '512'])
})

test('a storage repository that is away says what to do', () => {
  expect(srNotAttached(uuid, 'no such folder').message).toMatch(/; sr-scan tries again$/)
  expect(srNotAttached(uuid, unplugged).message).toMatch(/pbd-plug attaches it$/)
})
