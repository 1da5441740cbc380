import { expect, test } from 'vitest'
import { RemoteError } from '../../../src/remote/remote-errors.ts'

test('what another server says is kept under its code, in part', () => {
  const known = new RemoteError('there', 'VDI_IO_ERROR', ['the disk is gone'])
  expect(known).toMatchObject({
    code: 'VDI_IO_ERROR',
    message: 'the disk is gone (says the server there)',
  })
  const long = 'x'.repeat(1_000_000)
  const flood = new RemoteError(
    'there',
    long,
    Array.from({ length: 1000 }, () => long),
    long,
  )
  expect(flood.code).toBe('INTERNAL_ERROR')
  expect(JSON.stringify([flood.message, flood.params]).length).toBeLessThan(10_000)
  const params = new RemoteError('there', 'SR_FULL', [long, long]).params
  expect(params.map((param) => param.length)).toEqual([2000, 2000])
})
