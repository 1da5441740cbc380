// The conditions of get_all_records_where.

import { describe, expect, it } from 'vitest'
import type { Wire } from '../../../src/xenapi/wire/values.ts'
import type { TestApi } from '../../support/xenapi.ts'
import { asMap, createTestApi, createVdi } from '../../support/xenapi.ts'

describe('get_all_records_where', () => {
  const names = async ({ call }: TestApi, expr: string): Promise<Wire[]> =>
    Object.values(asMap(await call('VDI.get_all_records_where', expr))).map(
      (record) => asMap(record)['name_label'] ?? null,
    )

  const start = async (): Promise<TestApi> => {
    const api = await createTestApi()
    await createVdi(api, { name_label: 'one' })
    api.clock.advance(1)
    await createVdi(api, { name_label: 'two "quoted"', read_only: true, virtual_size: 512 })
    api.clock.advance(1)
    await createVdi(api, { name_label: 'three', type: 'system' })
    return api
  }

  it('understands the conditions of XenServer', async () => {
    const api = await start()
    const conditions: [string, string[]][] = [
      ['true', ['one', 'two "quoted"', 'three']],
      ['false', []],
      ['field "name_label" = "one"', ['one']],
      [`field 'name__label'='one'`, ['one']],
      ['field "name_label" = "two \\"quoted\\""', ['two "quoted"']],
      ['field "read_only" = "true"', ['two "quoted"']],
      ['field "virtual_size" = "512"', ['two "quoted"']],
      [`field "SR" = "OpaqueRef:${api.srUuid}" and not field "type" = "user"`, ['three']],
      ['not true or field "name_label" = "three"', ['three']],
      ['field "type"="user" and (field "read_only"="true" or false)', ['two "quoted"']],
      ['true or true and false', ['one', 'two "quoted"', 'three']],
      ['  "a"="a"  ', ['one', 'two "quoted"', 'three']],
      ['field "name_label" = field "type"', []],
      [`${'not true or '.repeat(40)}field "name_label" = "one"`, ['one']],
    ]
    const found = await Promise.all(
      conditions.map(async ([expr]) => [expr, await names(api, expr)] as const),
    )
    expect(found).toEqual(conditions)
  })

  it('says what it cannot read, and where', async () => {
    const api = await start()
    for (const [expr, found] of [
      ['', 'a condition, a field or a text in quotes expected, found the end'],
      ['true true', 'the end expected, found true at character 4'],
      ['field "nothing" = "x"', 'there is no field "nothing"'],
      ['field "type" =', 'found the end'],
      ['field "type" = "open', 'nothing known at character 14'],
      ['(true', ') expected, found the end'],
      ['field type', 'nothing known at character 5'],
      ['"a" == "a"', 'found = at character 5'],
      [`${'('.repeat(1000)}true`, 'nested deeper than 32'],
      [`${'not '.repeat(1000)}true`, 'nested deeper than 32'],
      [`"${'x'.repeat(5000)}" = "a"`, 'longer than 4096 characters'],
      ['\\'.repeat(4000), 'nothing known at character 0'],
    ] as const) {
      await expect(names(api, expr)).rejects.toMatchObject({
        code: 'INVALID_VALUE',
        message: expect.stringContaining(found) as string,
      })
    }
  })
})
