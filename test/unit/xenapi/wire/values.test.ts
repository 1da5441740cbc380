// The types of values: what clients may send, and how it is answered.

import { describe, expect, it } from 'vitest'
import {
  bool,
  datetime,
  float,
  formatDate,
  int,
  mapOf,
  oneOf,
  optionalRefTo,
  refTo,
  setOf,
  string,
  stringMap,
  stringUpTo,
  voidType,
} from '../../../../src/xenapi/wire/values.ts'
import { WireInt } from '../../../../src/xenapi/wire/values.ts'
import type { ValueType, Wire } from '../../../../src/xenapi/wire/values.ts'
import { toXmlValue } from '../../../../src/xenapi/wire/xml-value.ts'

const uuid = '01234567-89ab-cdef-0123-456789abcdef'

const expectRefused = (type: ValueType<unknown>, wires: readonly (Wire | undefined)[]): void => {
  for (const wire of wires) {
    expect(() => type.fromWire(wire, 'field')).toThrow(
      expect.objectContaining({ code: 'FIELD_TYPE_ERROR', params: ['field'] }) as Error,
    )
  }
}

describe('int', () => {
  it('is taken as digits or as a number, and answered as an integer', () => {
    expect(int.fromWire('17592186044416', 'field')).toBe(17_592_186_044_416)
    expect(int.fromWire('-5', 'field')).toBe(-5)
    expect(int.fromWire(5, 'field')).toBe(5)
    expect(int.toWire(17_592_186_044_416)).toEqual(new WireInt(17_592_186_044_416))
  })

  it('is whole and within 2^53', () => {
    const digits = ['', ' 5', '5 ', '1e3', '0x10', '5.0', '9007199254740993', '1'.repeat(30)]
    expectRefused(int, [...digits, 1.5, 2 ** 53, true, null, undefined, [], {}])
  })
})

describe('float', () => {
  it('is taken as a number or as text, and answered as a number', () => {
    expect(float.fromWire(0.25, 'field')).toBe(0.25)
    expect(float.fromWire('0.25', 'field')).toBe(0.25)
    expect(float.fromWire('60.1', 'field')).toBe(60.1)
    expect(float.fromWire('1e-3', 'field')).toBe(0.001)
    expect(float.toWire(0.5)).toBe(0.5)
    expectRefused(float, ['', 'NaN', 'Infinity', Number.NaN, Number.POSITIVE_INFINITY, null, '1.'])
  })
})

describe('bool', () => {
  it('is true or false, also as words', () => {
    expect(['true', true].map((wire) => bool.fromWire(wire, 'field'))).toEqual([true, true])
    expect(['false', false].map((wire) => bool.fromWire(wire, 'field'))).toEqual([false, false])
    expectRefused(bool, ['', 'yes', 1, 0, null, undefined])
  })
})

describe('datetime', () => {
  it('has one form for answers and takes the usual ones', () => {
    const time = new Date('2024-02-29T23:59:58.000Z')
    expect(formatDate(new Date('2024-02-29T23:59:58.999Z'))).toBe('20240229T23:59:58Z')
    const forms = ['20240229T23:59:58Z', '2024-02-29T23:59:58Z', '20240229T23:59:58', time]
    for (const form of forms) expect(datetime.fromWire(form, 'field')).toEqual(time)
    expectRefused(datetime, ['', 'yesterday', '20241301T00:00:00Z', 0, null])
  })
})

describe('string', () => {
  it('is any text that XML can carry', () => {
    for (const text of ['', 'Größe 💾', 'tab\tnew\nline\r', '<&>"\'']) {
      expect(string.fromWire(text, 'field')).toBe(text)
    }
    const unfit = ['\u0000', 'bell\u0007', '\u001B[31m', '\uD800', 'x\uDC00', '\uFFFF']
    expectRefused(string, [...unfit, 5, true, null, undefined, []])
  })

  it('has a limit, and the message does not show it', () => {
    expect(stringUpTo(3).fromWire('abc', 'field')).toBe('abc')
    expect(() => stringUpTo(3).fromWire('abcd', 'field')).toThrow(
      'field has 4 characters, the limit is 3',
    )
  })
})

describe('references', () => {
  it('are taken as such or as bare uuids, in any case', () => {
    const vdi = refTo('VDI')
    for (const text of [uuid, `OpaqueRef:${uuid}`, `OpaqueRef:${uuid.toUpperCase()}`]) {
      expect(vdi.fromWire(text, 'field')).toBe(uuid)
    }
    expect(vdi.toWire(uuid)).toBe(`OpaqueRef:${uuid}`)
  })

  it('that lead nowhere are handles that are not valid', () => {
    for (const text of ['OpaqueRef:NULL', '', 'disk', `OpaqueRef:${uuid}0`, `Ref:${uuid}`]) {
      expect(() => refTo('VDI').fromWire(text, 'field')).toThrow(
        expect.objectContaining({ code: 'HANDLE_INVALID', params: ['VDI', text] }) as Error,
      )
    }
    expectRefused(refTo('VDI'), [null, undefined, 5, {}])
  })

  it('may be null where there may be none', () => {
    expect(optionalRefTo('SR').fromWire('OpaqueRef:NULL', 'field')).toBeNull()
    expect(optionalRefTo('SR').fromWire('', 'field')).toBeNull()
    expect(optionalRefTo('SR').fromWire(uuid, 'field')).toBe(uuid)
    expect(optionalRefTo('SR').toWire(null)).toBe('OpaqueRef:NULL')
  })
})

describe('sets, maps and choices', () => {
  it('hold values of one type', () => {
    expect(setOf(int).fromWire(['1', 2], 'field')).toEqual([1, 2])
    expect(setOf(int).toWire([1, 2])).toEqual([new WireInt(1), new WireInt(2)])
    expect(stringMap.fromWire({ a: 'b' }, 'field')).toEqual({ a: 'b' })
    expect(mapOf(string, int).toWire({ a: 1 })).toEqual({ a: new WireInt(1) })
    expectRefused(setOf(int), [{}, 'x', ['x'], null])
    expectRefused(stringMap, [[], 'x', { a: 1 }, { '\u0000': 'a' }, null, new Date()])
  })

  it('hold keys that look like parts of JavaScript', () => {
    const wire = JSON.parse('{"__proto__":"a","constructor":"b"}') as Wire
    const map = stringMap.fromWire(wire, 'field')
    expect(Object.entries(map)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
    expect(JSON.stringify(stringMap.toWire(map))).toBe('{"__proto__":"a","constructor":"b"}')
  })

  it('name the choices', () => {
    const type = oneOf('colour', ['red', 'blue'])
    expect(type.fromWire('red', 'field')).toBe('red')
    expect(() => type.fromWire('green', 'field')).toThrow('field must be one of red, blue')
    expectRefused(type, [null, 5])
  })
})

describe('names of types', () => {
  it('are those of the reference', () => {
    expect(setOf(refTo('VDI')).name).toBe('VDI ref set')
    expect(mapOf(string, int).name).toBe('(string → int) map')
  })
})

describe('values in XML', () => {
  it('are written as XML-RPC writes them', () => {
    expect(toXmlValue(refTo('VDI').toWire(uuid))).toBe(`<value>OpaqueRef:${uuid}</value>`)
    expect(toXmlValue(voidType.toWire())).toBe('<value></value>')
    expect(toXmlValue('a<b>&c\r\n"')).toBe('<value>a&lt;b&gt;&amp;c&#13;\n"</value>')
    expect(toXmlValue(0.5)).toBe('<value><double>0.5</double></value>')
    expect(toXmlValue([true, false])).toBe(
      '<value><array><data><value><boolean>1</boolean></value>' +
        '<value><boolean>0</boolean></value></data></array></value>',
    )
    expect(toXmlValue({ '<a>': new Date(0), b: null })).toBe(
      '<value><struct><member><name>&lt;a&gt;</name>' +
        '<value><dateTime.iso8601>19700101T00:00:00Z</dateTime.iso8601></value></member>' +
        '<member><name>b</name><value></value></member></struct></value>',
    )
  })
})
