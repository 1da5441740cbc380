// RFC 9110, section 13: which conditions hold, and what becomes of a request whose do not.

import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import type { ConditionHeaders, Validators } from '../../../routes/preconditions.ts'
import {
  checkPreconditions,
  lastModifiedOf,
  PreconditionFailedError,
} from '../../../routes/preconditions.ts'

const present: Validators = { etags: ['"a"', '"b"'], changedAt: new Date('2026-03-01T12:00:00Z') }
const before = 'Sun, 01 Mar 2026 11:59:59 GMT'
const then = 'Sun, 01 Mar 2026 12:00:00 GMT'

const check = (method: string, headers: ConditionHeaders, of: Validators | undefined = present) =>
  checkPreconditions(method, headers, of)

const expectFailure = (run: () => unknown, header: string): void => {
  expect(run).toThrow(PreconditionFailedError)
  expect(run).toThrow(new RegExp(`^${header} does not hold: `))
}

describe('If-Match', () => {
  test.each(['"a"', '"b"', '*', ' "x" , "b"', '"x",W/"y","a",'])('%s holds', (value) => {
    expect(check('GET', { 'if-match': value })).toBe('proceed')
    expect(check('PUT', { 'if-match': value })).toBe('proceed')
  })

  test.each(['"x"', 'W/"a"', '"A"', '"x", W/"b"'])('%s does not', (value) => {
    expectFailure(() => check('GET', { 'if-match': value }), 'If-Match')
    expectFailure(() => check('PUT', { 'if-match': value }), 'If-Match')
  })

  test('where there is nothing yet nothing matches, not even *', () => {
    expectFailure(() => checkPreconditions('PUT', { 'if-match': '*' }, undefined), 'If-Match')
  })

  test.each(['', 'a', '"a" "b"', '"a', 'a"', '"a";', 'W/', '*, "a"'])(
    '"%s" is no condition that can be understood',
    (value) => {
      const run = () => check('PUT', { 'if-match': value })
      expect(run).toThrow(AppError)
      expect(run).not.toThrow(PreconditionFailedError)
      expect(run).toThrow(/must be \* or ETags in double quotes/)
    },
  )
})

describe('If-None-Match', () => {
  test.each(['"a"', 'W/"a"', '*', '"x", "b"'])('%s: 304 to readers, 412 to writers', (value) => {
    expect(check('GET', { 'if-none-match': value })).toBe('not-modified')
    expect(check('HEAD', { 'if-none-match': value })).toBe('not-modified')
    expectFailure(() => check('PUT', { 'if-none-match': value }), 'If-None-Match')
  })

  test('another tag: go on', () => {
    expect(check('GET', { 'if-none-match': '"x"' })).toBe('proceed')
    expect(check('PUT', { 'if-none-match': '"x"' })).toBe('proceed')
  })

  test('*: only what is not there yet is written', () => {
    expect(checkPreconditions('PUT', { 'if-none-match': '*' }, undefined)).toBe('proceed')
  })

  test('it is asked instead of If-Modified-Since', () => {
    const headers = { 'if-none-match': '"x"', 'if-modified-since': then }
    expect(check('GET', headers)).toBe('proceed')
  })
})

describe('dates', () => {
  test('If-Unmodified-Since: 412 where the content is younger', () => {
    expect(check('GET', { 'if-unmodified-since': then })).toBe('proceed')
    expect(check('PUT', { 'if-unmodified-since': then })).toBe('proceed')
    expectFailure(() => check('GET', { 'if-unmodified-since': before }), 'If-Unmodified-Since')
    expectFailure(() => check('PUT', { 'if-unmodified-since': before }), 'If-Unmodified-Since')
  })

  test('content whose date is not known is never unmodified', () => {
    const run = () => check('GET', { 'if-unmodified-since': then }, { etags: ['"a"'] })
    expect(run).toThrow(/use If-Match/)
  })

  test('If-Unmodified-Since that is no date is refused; beside If-Match it is not asked', () => {
    expect(() => check('PUT', { 'if-unmodified-since': '2026-03-01' })).toThrow(/an HTTP date/)
    const headers = { 'if-match': '"a"', 'if-unmodified-since': before }
    expect(check('PUT', headers)).toBe('proceed')
  })

  test.each([
    [then, 'not-modified'],
    ['Sunday, 01-Mar-26 12:00:00 GMT', 'not-modified'],
    ['Sun Mar  1 12:00:00 2026', 'not-modified'],
    [before, 'proceed'],
    ['2026-03-01T12:00:00Z', 'proceed'],
    ['Sun, 99 Mar 2026 12:00:00 GMT', 'proceed'],
  ])('If-Modified-Since: %s: %s', (value, verdict) => {
    expect(check('GET', { 'if-modified-since': value })).toBe(verdict)
    expect(check('PUT', { 'if-modified-since': value })).toBe('proceed')
  })

  test('content of the same second never shares its Last-Modified', () => {
    const [first, second] = [
      new Date('2026-03-01T12:00:00.200Z'),
      new Date('2026-03-01T12:00:00.700Z'),
    ]
    expect(lastModifiedOf(first, new Date('2026-03-01T12:00:00.600Z'))).toBeUndefined()
    const told = lastModifiedOf(second, new Date('2026-03-01T12:00:01Z'))!
    expect(told).toBe('Sun, 01 Mar 2026 12:00:01 GMT')
    expect(check('GET', { 'if-modified-since': told }, { etags: [], changedAt: second })).toBe(
      'not-modified',
    )
    const third = new Date('2026-03-01T12:00:01.001Z')
    expect(check('GET', { 'if-modified-since': told }, { etags: [], changedAt: third })).toBe(
      'proceed',
    )
  })
})

describe('content whose tag is weak', () => {
  const weak: Validators = { etags: ['W/"a"'] }

  test.each(['W/"a"', '"a"', '"x", W/"a"'])('If-None-Match: %s finds it', (value) => {
    expect(check('GET', { 'if-none-match': value }, weak)).toBe('not-modified')
  })

  test.each(['W/"a"', '"a"'])('If-Match: %s does not, and says why', (value) => {
    const run = (): unknown => check('GET', { 'if-match': value }, weak)
    expectFailure(run, 'If-Match')
    expect(run).toThrow('the ETag is weak')
  })

  test('any other tag is another one', () => {
    expect(check('GET', { 'if-none-match': 'W/"b"' }, weak)).toBe('proceed')
    expect(check('GET', { 'if-match': '*' }, weak)).toBe('proceed')
  })
})
