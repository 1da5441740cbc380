// The parameters of a command of xe: how many there may be, and that none is dropped because another has its name.

import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../../src/cli/command-line.ts'
import { startCliServer } from '../../support/cli-client.ts'

const root = ['username=root', 'password=pw'] as const

describe('the number of parameters', () => {
  const lineWith = (count: number): string =>
    ['vdi-list', ...Array.from({ length: count }, (_, index) => `tags:${index}=`)].join('\n')

  test('1000 are read', () => {
    expect(parseCommandLine(lineWith(1000)).params).toHaveLength(1000)
  })

  test('1001 are refused, before anybody logs in', async () => {
    const { open, calls } = await startCliServer()
    const filters = Array.from({ length: 999 }, () => 'uuid=x')
    const shown = await (await open('vdi-list', ...filters, ...root)).shown()
    expect(shown).toEqual({
      out: '',
      err: 'Error: The command has 1001 parameters, the limit is 1000\n',
      code: 1,
    })
    expect(calls).toEqual([])
  })
})
