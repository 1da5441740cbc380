import { describe, expect, test } from 'vitest'
import type { Parameters } from '../../../routes/params.ts'
import type { Credentials } from '../../../src/xenapi/authenticate.ts'
import {
  readChoice,
  readCredentials,
  readFlag,
  readParameters,
  readReference,
  readTask,
} from '../../../routes/params.ts'

const uuid = '0F1E2D3C-4b5a-6978-8796-a5b4c3d2e1f0'

const ask = (
  url: string,
  headers: Record<string, string> = {},
): { parameters: Parameters; credentials: Credentials } => {
  const request = { url, headers }
  const parameters = readParameters(request)
  return { parameters, credentials: readCredentials(request, parameters) }
}

const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

describe('parameters', () => {
  test('the query is asked before the cookies, and cookies may be separated by & or ;', () => {
    const cookie = 'vdi=fromcookie; format=vhd&session_id=OpaqueRef%3Aabc'
    const { parameters, credentials } = ask('/x?vdi=fromquery&task_id=', { cookie })
    expect((['vdi', 'format', 'session_id', 'task_id', 'base'] as const).map(parameters)).toEqual([
      'fromquery',
      'vhd',
      'OpaqueRef:abc',
      undefined,
      undefined,
    ])
    expect(credentials).toEqual({ sessionId: 'OpaqueRef:abc' })
  })

  test('a cookie that is not percent-encoded is taken as it is', () => {
    const { parameters } = ask('/x', { cookie: 'vdi=100%; base=OpaqueRef:1' })
    expect([parameters('vdi'), parameters('base')]).toEqual(['100%', 'OpaqueRef:1'])
  })

  test.each([
    ['root:pw', { user: 'root', password: 'pw' }],
    ['root:a:b', { user: 'root', password: 'a:b' }],
    ['müller:pässword', { user: 'müller', password: 'pässword' }],
    [':', { user: '', password: '' }],
    ['nocolon', undefined],
  ])('HTTP Basic %s', (text, expected) => {
    const { credentials } = ask('/x', basic(text))
    expect(credentials.basic).toEqual(expected)
  })

  test('other schemes are no credentials', () => {
    expect(ask('/x', { authorization: 'Bearer abc' }).credentials).toEqual({})
    expect(ask('/x', { authorization: 'Basic' }).credentials).toEqual({})
  })

  test('two values for one name are refused, the same one twice is not', () => {
    const { parameters } = ask(`/x?vdi=a&vdi=b&base=c&base=c`)
    expect(() => parameters('vdi')).toThrow('vdi has 2 values, "a" and "b": give one')
    expect(parameters('base')).toBe('c')
  })

  test('&base=$BASE of a script in which BASE is not set is no full export', () => {
    const { parameters } = ask('/x?base=&session_id=', { cookie: 'base=fromcookie' })
    expect(() => parameters('base')).toThrow('base is empty: give it a value, or leave it out')
    expect(parameters('session_id')).toBeUndefined()
  })

  test('flags', () => {
    const { parameters } = ask('/x?replace=true&narrow=0&chunked=YES&delta=maybe')
    expect(
      (['replace', 'narrow', 'chunked', 'base'] as const).map((name) => readFlag(parameters, name)),
    ).toEqual([true, false, true, false])
    expect(() => readFlag(parameters, 'delta')).toThrow('"maybe"')
  })

  test('choices', () => {
    const { parameters } = ask('/x?subformat=FIXED&delta=thick')
    expect(readChoice(parameters, 'subformat', ['dynamic', 'fixed'])).toBe('fixed')
    expect(readChoice(parameters, 'format', ['fixed'])).toBeUndefined()
    expect(() => readChoice(parameters, 'delta', ['dynamic', 'fixed'])).toThrow(
      'delta is "thick", must be one of dynamic, fixed',
    )
  })

  test('references and uuids name the same object; anything else names none', () => {
    const { parameters } = ask(
      `/x?vdi=OpaqueRef:${uuid}&base=${uuid}&sr_id=../../etc/passwd&task_id=${uuid}`,
    )
    const lower = uuid.toLowerCase()
    expect(readReference(parameters, 'vdi', 'VDI')).toBe(lower)
    expect(readReference(parameters, 'base', 'VDI')).toBe(lower)
    expect(readTask(parameters)).toBe(`OpaqueRef:${lower}`)
    expect(() => readReference(parameters, 'sr_id', 'VDI')).toThrow(
      expect.objectContaining({ code: 'HANDLE_INVALID', params: ['VDI', '../../etc/passwd'] }),
    )
    expect(() => readReference(parameters, 'sr_uuid', 'SR')).toThrow(
      'The parameter sr_uuid is missing',
    )
  })
})
