import { describe, expect, test } from 'vitest'
import { chooseRange } from '../../../routes/range.ts'

const etag = '"tag"'
const choose = (range?: string, ifRange?: string) => chooseRange(1000, etag, range, ifRange)
const whole = { status: 200, range: { offset: 0, length: 1000 } }
const part = (offset: number, length: number) => ({ status: 206, range: { offset, length } })

// RFC 9110, section 14.1.2 and 14.2
describe('range', () => {
  test.each([
    ['bytes=0-499', part(0, 500)],
    ['bytes=500-999', part(500, 500)],
    ['bytes=500-', part(500, 500)],
    ['bytes=999-', part(999, 1)],
    ['bytes=0-99999', part(0, 1000)],
    ['bytes=-1', part(999, 1)],
    ['bytes=-99999', part(0, 1000)],
    ['bytes= 1-2', part(1, 2)],
    ['bytes=1000-', { status: 416 }],
    ['bytes=5000-6000', { status: 416 }],
    ['bytes=-0', { status: 416 }],
    ['bytes=2-1', whole],
    ['bytes=-', whole],
    ['bytes=a-b', whole],
    ['bytes=0-1,5-6', whole],
    ['lines=0-1', whole],
    ['bytes=0-99999999999999999999999', part(0, 1000)],
    ['bytes=99999999999999999999999-', { status: 416 }],
  ])('%s', (header, expected) => {
    expect(choose(header)).toEqual(expected)
  })

  test('without a Range it is the whole', () => expect(choose()).toEqual(whole))

  test('If-Range with the tag keeps the range, with any other it is the whole', () => {
    expect(choose('bytes=1-2', etag)).toEqual(part(1, 2))
    expect(choose('bytes=1-2', '"other"')).toEqual(whole)
    expect(choose('bytes=1-2', `W/${etag}`)).toEqual(whole)
    expect(choose('bytes=1-2', 'Sat, 21 Nov 2026 11:00:00 GMT')).toEqual(whole)
    expect(choose('bytes=5000-', '"other"')).toEqual(whole)
  })
})
