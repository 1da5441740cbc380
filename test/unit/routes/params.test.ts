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
    const { parameters, credentials } = ask('/x?vdi=fromquery&empty=', { cookie })
    expect(['vdi', 'format', 'session_id', 'empty', 'absent'].map(parameters)).toEqual([
      'fromquery',
      'vhd',
      'OpaqueRef:abc',
      undefined,
      undefined,
    ])
    expect(credentials).toEqual({ sessionId: 'OpaqueRef:abc' })
  })

  test('a cookie that is not percent-encoded is taken as it is', () => {
    const { parameters } = ask('/x', { cookie: 'a=100%; b=OpaqueRef:1' })
    expect([parameters('a'), parameters('b')]).toEqual(['100%', 'OpaqueRef:1'])
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

  test('flags', () => {
    const { parameters } = ask('/x?a=true&b=0&c=YES&d=maybe')
    expect(['a', 'b', 'c', 'absent'].map((name) => readFlag(parameters, name))).toEqual([
      true,
      false,
      true,
      false,
    ])
    expect(() => readFlag(parameters, 'd')).toThrow('"maybe"')
  })

  test('choices', () => {
    const { parameters } = ask('/x?a=FIXED&b=thick')
    expect(readChoice(parameters, 'a', ['dynamic', 'fixed'])).toBe('fixed')
    expect(readChoice(parameters, 'absent', ['fixed'])).toBeUndefined()
    expect(() => readChoice(parameters, 'b', ['dynamic', 'fixed'])).toThrow(
      'b is "thick", must be one of dynamic, fixed',
    )
  })

  test('references and uuids name the same object; anything else names none', () => {
    const { parameters } = ask(
      `/x?a=OpaqueRef:${uuid}&b=${uuid}&c=../../etc/passwd&task_id=${uuid}`,
    )
    const lower = uuid.toLowerCase()
    expect(readReference(parameters, 'a', 'VDI')).toBe(lower)
    expect(readReference(parameters, 'b', 'VDI')).toBe(lower)
    expect(readTask(parameters)).toBe(`OpaqueRef:${lower}`)
    expect(() => readReference(parameters, 'c', 'VDI')).toThrow(
      expect.objectContaining({ code: 'HANDLE_INVALID', params: ['VDI', '../../etc/passwd'] }),
    )
    expect(() => readReference(parameters, 'd', 'VDI')).toThrow('The parameter d is missing')
  })
})
