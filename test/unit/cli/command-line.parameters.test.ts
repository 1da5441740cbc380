// The parameters of a command of xe: how many there may be, and that none is dropped because
// another has its name.

import { describe, expect, onTestFinished, test } from 'vitest'
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

describe('990 filters on 50 records', () => {
  /**
   * Storage managers whose type is `file`, and how often it was read: in all, and at most within
   * one turn of the event loop.
   */
  const createReads = () => {
    const reads = { all: 0, inTurn: 0, longestTurn: 0 }
    let isOver = false
    const nextTurn = (): void => {
      reads.inTurn = 0
      if (!isOver) setImmediate(nextTurn)
    }
    nextTurn()
    onTestFinished(() => void (isOver = true))
    const record = {
      uuid: 'u',
      get type() {
        reads.all += 1
        reads.inTurn += 1
        reads.longestTurn = Math.max(reads.longestTurn, reads.inTurn)
        return 'file'
      },
    }
    const records = Array.from({ length: 50 }, () => record)
    const methods = {
      'SM.get_all_records': () => Object.fromEntries(records.entries()),
      'event.from': () => ({ token: '1', events: records.map((snapshot) => ({ snapshot })) }),
    }
    return { reads, methods }
  }
  const filters = (value: string): string[] => Array.from({ length: 990 }, () => `type=${value}`)

  test.each([
    ['sm-list', 'params=uuid'],
    ['event-wait', 'class=sm'],
  ])('%s lets others have their turn', async (...command) => {
    const { reads, methods } = createReads()
    const { open } = await startCliServer(methods)
    const shown = await (await open(...command, ...filters('file'), ...root)).shown()
    expect(shown).toMatchObject({ err: '', code: 0 })
    expect(reads.all).toBeGreaterThan(900)
    expect(reads.longestTurn).toBeLessThan(300)
  })

  test('a list asks a record no more once a filter does not match', async () => {
    const { reads, methods } = createReads()
    const { open } = await startCliServer(methods)
    const shown = await (await open('sm-list', ...filters('nfs'), ...root)).shown()
    expect(shown).toEqual({ out: '', err: '', code: 0 })
    expect(reads.all).toBe(50)
  })
})
