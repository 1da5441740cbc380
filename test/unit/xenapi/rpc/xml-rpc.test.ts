// XML-RPC around the calls: what is read, what is refused and how soon, and how answers look.

import { describe, expect, it } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import { createAnswerRoom } from '../../../../src/xenapi/wire/answer-room.ts'
import type { Dispatcher, RpcRequest } from '../../../../src/xenapi/dispatch.ts'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { readXmlCall } from '../../../../src/xenapi/rpc/xml-rpc-call.ts'
import { createXmlRpc } from '../../../../src/xenapi/rpc/xml-rpc.ts'
import { toXmlValue } from '../../../../src/xenapi/wire/xml-value.ts'
import { inTexts } from '../../../support/answers.ts'
import { ROOT_PASSWORD } from '../../../support/catalogs.ts'
import { createTestApi } from '../../../support/xenapi.ts'

const callOf = (...values: string[]): string => {
  const params = values.map((value) => `<param>${value}</param>`).join('')
  return `<methodCall><methodName>a.b</methodName><params>${params}</params></methodCall>`
}

const read = async (value: string): Promise<Wire | undefined> =>
  (await readXmlCall(callOf(value))).params[0]

/** Answers calls with what the test says; keeps what it was asked. */
const play = (result: Wire | AppError) => {
  const asked: RpcRequest[] = []
  const dispatcher: Dispatcher = {
    async call(request) {
      asked.push(request)
      if (result instanceof AppError) throw result
      return result
    },
    idle: async () => {},
  }
  return { xmlRpc: inTexts(createXmlRpc(dispatcher, createAnswerRoom())), asked }
}

describe('values', () => {
  it.each<[string, Wire]>([
    ['<value>bare</value>', 'bare'],
    ['<value>  bare \n </value>', '  bare \n '],
    ['<value></value>', ''],
    ['<value/>', ''],
    ['<value>\n  <string> x </string>\n</value>', ' x '],
    ['<value><string/></value>', ''],
    ['<value>a &amp; &lt;b&gt; &quot;&apos; &#228; &#x1F4BE;</value>', 'a & <b> "\' ä 💾'],
    ['<value><![CDATA[<&amp;>]]> and <!-- not --> more</value>', '<&amp;> and  more'],
    ['<value>one\r\ntwo\rthree&#13;</value>', 'one\ntwo\nthree\r'],
    ['<value><int>-42</int></value>', -42],
    ['<value><i4> 7 </i4></value>', 7],
    ['<value><i8>9007199254740993</i8></value>', '9007199254740993'],
    ['<value><boolean>1</boolean></value>', true],
    ['<value><boolean>0</boolean></value>', false],
    ['<value><double>60.1</double></value>', 60.1],
    ['<value><double>1e-07</double></value>', 1e-7],
    [
      '<value><dateTime.iso8601>20250601T12:00:00Z</dateTime.iso8601></value>',
      new Date(Date.UTC(2025, 5, 1, 12)),
    ],
    [
      '<value><dateTime.iso8601>20250601T12:00:00</dateTime.iso8601></value>',
      new Date(Date.UTC(2025, 5, 1, 12)),
    ],
    ['<value><nil/></value>', null],
    ['<value xmlns:ex="urn:x"><ex:nil/></value>', null],
    ['<value><array><data></data></array></value>', []],
    [
      '<value>\n<array><data>\n<value>a</value>\n<value><int>1</int></value>\n</data></array>\n</value>',
      ['a', 1],
    ],
    ['<value><struct/></value>', {}],
    [
      '<value><struct>\n<member>\n<name>a&amp;b</name>\n<value><struct><member><name/><value>x</value></member></struct></value>\n</member></struct></value>',
      { 'a&b': { '': 'x' } },
    ],
  ])('%j is read', async (value, expected) => {
    expect(await read(value)).toEqual(expected)
  })

  it('a member named __proto__ is a member like any other', async () => {
    const value = (await read(
      '<value><struct><member><name>__proto__</name><value>x</value></member></struct></value>',
    )) as object
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  })

  it.each<[Wire, string]>([
    ['a & <b>\r\n', 'a &amp; &lt;b&gt;&#13;\n'],
    [true, '<boolean>1</boolean>'],
    [0.25, '<double>0.25</double>'],
    [new Date(0), '<dateTime.iso8601>19700101T00:00:00Z</dateTime.iso8601>'],
    [
      ['a', []],
      '<array><data><value>a</value><value><array><data></data></array></value></data></array>',
    ],
    [{ a: '1' }, '<struct><member><name>a</name><value>1</value></member></struct>'],
    ['bell \u0007, half \ud83d, \uffff', 'bell \ufffd, half \ufffd, \ufffd'],
  ])('%j is written', (wire, expected) => {
    expect(toXmlValue(wire)).toBe(`<value>${expected}</value>`)
  })

  it('a count is an <i4>', () => {
    expect(toXmlValue({ n: 7n })).toContain('<value><i4>7</i4></value>')
  })

  it('what is written is read again', async () => {
    const wire = { a: ['x\r\n & <', 1.5, true, new Date(0), { b: [] }], '<&>': ' \n ' }
    expect(await read(toXmlValue(wire))).toEqual(wire)
  })
})

describe('calls', () => {
  it('may have a declaration, comments and no params', async () => {
    const text =
      '<?xml version="1.0" encoding="UTF-8"?>\n<!-- hello -->\n<methodCall>\n<methodName> a.b </methodName>\n</methodCall>\n<?bye?>\n'
    expect(await readXmlCall(text)).toEqual({ method: 'a.b', params: [] })
  })

  it('are answered with Success and the value', async () => {
    const { xmlRpc, asked } = play(['x'])
    expect(await xmlRpc(callOf('<value>1</value>'))).toBe(
      '<?xml version="1.0"?><methodResponse><params><param><value><struct>' +
        '<member><name>Status</name><value>Success</value></member>' +
        '<member><name>Value</name><value><array><data><value>x</value></data></array></value></member>' +
        '</struct></value></param></params></methodResponse>',
    )
    expect(asked).toEqual([{ method: 'a.b', params: ['1'] }])
  })

  it('are answered with Failure and the error', async () => {
    const { xmlRpc } = play(new AppError('HANDLE_INVALID', ['VDI', 'OpaqueRef:1']))
    expect(await xmlRpc(callOf())).toContain(
      '<member><name>Status</name><value>Failure</value></member>' +
        '<member><name>ErrorDescription</name><value><array><data>' +
        '<value>HANDLE_INVALID</value><value>VDI</value><value>OpaqueRef:1</value>',
    )
  })

  it('system.listMethods is answered with a bare array', async () => {
    const { xmlRpc } = await createTestApi()
    const answer = await xmlRpc(
      '<methodCall><methodName>system.listMethods</methodName></methodCall>',
    )
    expect(answer).toMatch(/<params><param><value><array><data><value>PBD\.\w+<\/value>/)
    expect(answer).toContain('<value>system.listMethods</value>')
    expect(answer).not.toContain('Status')
  })

  it('a text that is too long is refused by the call', async () => {
    const { xmlRpc, session } = await createTestApi()
    const create = (label: string) =>
      xmlRpc(
        `<methodCall><methodName>SR.get_by_name_label</methodName><params><param><value>${session}</value></param><param><value>${label}</value></param></params></methodCall>`,
      )
    expect(await create('x'.repeat(65_536))).toContain('Success')
    expect(await create('x'.repeat(65_537))).toContain(
      '<value>INVALID_VALUE</value><value>label</value><value>65537 characters</value>',
    )
  })
})

describe('what is no call', () => {
  const faultOf = async (text: string): Promise<string> => {
    const { xmlRpc, asked } = play('done')
    const answer = await xmlRpc(text)
    expect(asked).toEqual([])
    const pattern =
      /<fault><value><struct><member><name>faultCode<\/name><value><i4>(-\d+)<\/i4><\/value><\/member><member><name>faultString<\/name><value>(.*)<\/value><\/member><\/struct><\/value><\/fault>/
    const [, code, message] = pattern.exec(answer) ?? []
    return `${code} ${message}`
  }

  it.each([
    ['', '-32700 Cannot read the body as XML: the end before any element at character 0'],
    [
      '{"method":"a.b"}',
      '-32700 Cannot read the body as XML: text outside of the root at character 17',
    ],
    [
      '<methodCall>',
      '-32700 Cannot read the body as XML: it ends before &lt;/methodCall&gt;, or within what &lt; or &amp; began',
    ],
    [
      '<methodCall><methodName>a</methodCall>',
      '-32700 Cannot read the body as XML: a closing tag out of place at character 38',
    ],
    [`${callOf()}<a/>`, '-32700 Cannot read the body as XML: a second root at character 73'],
    [
      `${callOf()}x`,
      '-32700 Cannot read the body as XML: text outside of the root at character 72',
    ],
    [
      '<a b=1/>',
      '-32700 Cannot read the body as XML: an attribute that is not written as name="value" at character 6',
    ],
    [
      '<a b="1<2"/>',
      '-32700 Cannot read the body as XML: a character that XML does not allow there at character 8',
    ],
    [
      '<methodCall><!-- x</methodCall>',
      '-32700 Cannot read the body as XML: it ends before &lt;/methodCall&gt;, or within what &lt; or &amp; began',
    ],
    [
      '<a>\u0007</a>',
      '-32700 Cannot read the body as XML: a character that XML does not allow there at character 4',
    ],
    [
      '<?xml version="1.0" encoding="latin1"?><a/>',
      '-32700 Cannot read the body as XML: its encoding must be UTF-8',
    ],
    [
      callOf('<value>a & b</value>'),
      '-32700 Cannot read the body as XML: it ends before &lt;/value&gt;, or within what &lt; or &amp; began',
    ],
    [
      callOf('<value>a & b; c</value>'),
      '-32700 Cannot read the body as XML: an &amp; that begins no entity of XML at character 68',
    ],
    [
      callOf('<value>half \ud83d</value>'),
      '-32700 Cannot read the body as XML: it has characters that XML does not allow',
    ],
    [
      callOf('<value>]]></value>'),
      '-32700 Cannot read the body as XML: something that is not well-formed XML at character 65',
    ],
    [
      '<a b="1" b="2"/>',
      '-32700 Cannot read the body as XML: an attribute that comes twice at character 16',
    ],
    [
      '<a><!-- a -- b --></a>',
      '-32700 Cannot read the body as XML: a comment that holds -- at character 13',
    ],
    [
      '<?xml encoding="utf-8"?><a/>',
      '-32700 Cannot read the body as XML: a bad declaration at character 15',
    ],
    [
      callOf('<value>&#7;</value>'),
      '-32700 Cannot read the body as XML: the number of a character that XML does not allow at character 66',
    ],
    [
      callOf('<value>&#x110000;</value>'),
      '-32700 Cannot read the body as XML: the number of a character that XML does not allow at character 72',
    ],
    [
      '<methodResponse/>',
      '-32600 Cannot read the call: &lt;methodCall&gt; expected, found &lt;methodResponse&gt;',
    ],
    [
      '<methodCall/>',
      '-32600 Cannot read the call: &lt;methodName&gt; expected, found &lt;/methodCall&gt;',
    ],
    [callOf('x'), '-32600 Cannot read the call: &lt;value&gt; expected, found text'],
    [
      callOf('<value>x<int>1</int></value>'),
      '-32600 Cannot read the call: the end of an element expected, found &lt;int&gt;',
    ],
    [
      callOf('<value><int>1</int>x</value>'),
      '-32600 Cannot read the call: the end of an element expected, found text',
    ],
    [
      callOf('<value><int>secret</int></value>'),
      '-32600 Cannot read the call: a malformed &lt;int&gt;',
    ],
    [
      callOf('<value><boolean>2</boolean></value>'),
      '-32600 Cannot read the call: a malformed &lt;boolean&gt;',
    ],
    [
      callOf('<value><double>NaN</double></value>'),
      '-32600 Cannot read the call: a malformed &lt;double&gt;',
    ],
    [
      callOf('<value><dateTime.iso8601>now</dateTime.iso8601></value>'),
      '-32600 Cannot read the call: a malformed &lt;dateTime.iso8601&gt;',
    ],
    [
      callOf('<value><base64>AA==</base64></value>'),
      '-32600 Cannot read the call: &lt;base64&gt; is no type of XenAPI',
    ],
    [
      callOf('<value><constructor>x</constructor></value>'),
      '-32600 Cannot read the call: &lt;constructor&gt; is no type of XenAPI',
    ],
    [
      callOf(
        `<value><struct>${'<member><name>a</name><value>1</value></member>'.repeat(2)}</struct></value>`,
      ),
      '-32600 Cannot read the call: a &lt;struct&gt; with two members of one name',
    ],
  ])('%j', async (text, expected) => {
    expect(await faultOf(text)).toBe(expected)
  })

  it.each([
    '<!DOCTYPE a><methodCall/>',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://localhost/x.dtd"><a/>',
    '<methodCall><!DOCTYPE a></methodCall>',
  ])('a document type is refused before anything is made of it: %s', async (text) => {
    expect(await faultOf(text)).toContain('a document type, which is not allowed, at character')
  })

  it.each(['&x;', '&nbsp;', '&constructor;', '&#xD800;', '&#0;'])(
    '%s is no entity',
    async (text) => {
      expect(await faultOf(callOf(`<value>${text}</value>`))).toMatch(
        /no entity of XML|XML does not allow/,
      )
    },
  )

  it('elements nested deeper than 64 are refused, 64 are not', async () => {
    // methodCall, params, param and 3 elements an array.
    const nest = (depth: number) =>
      callOf(`${'<value><array><data>'.repeat(depth)}${'</data></array></value>'.repeat(depth)}`)
    expect(await play('').xmlRpc(nest(20))).toContain('Success')
    expect(await faultOf(nest(21))).toBe(
      '-32700 Cannot read the body as XML: its elements are nested deeper than 64',
    )
  })

  it('a password is in no fault', async () => {
    const login = (password: string) => callOf('<value>root</value>', `<value>${password}</value>`)
    for (const text of [
      login(ROOT_PASSWORD).slice(0, -12),
      login(`${ROOT_PASSWORD}&`),
      login(`<int>${ROOT_PASSWORD}</int>`),
      login(`${ROOT_PASSWORD}<b/>`),
    ]) {
      const shown = await faultOf(text)
      expect(shown).toMatch(/^-32[67]00 /)
      expect(shown).not.toContain(ROOT_PASSWORD)
    }
  })
})
