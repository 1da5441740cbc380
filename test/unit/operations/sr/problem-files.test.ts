// The files that tell people what a scan found wrong.

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { expect, test } from 'vitest'
import { problemFile, writeProblemFile } from '../../../../src/operations/sr/problem-files.ts'
import { createTestFolder } from '../../../support/tools.ts'

const start = async () => {
  const dataFolder = await createTestFolder()
  const lines: string[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) })
  return { dataFolder, lines, log }
}

test('one line for each problem; without problems there is no file', async () => {
  const on = await start()
  const path = problemFile(on.dataFolder, 'sr')
  await writeProblemFile(
    on,
    'sr',
    new Map([
      ['a.vhd', 'is cut'],
      ['b.raw', 'is empty'],
    ]),
  )
  expect(await readFile(path, 'utf8')).toBe('a.vhd: is cut\nb.raw: is empty\n')
  await writeProblemFile(on, 'sr', new Map([['c.vhd', 'is cut']]))
  expect(await readFile(path, 'utf8')).toBe('c.vhd: is cut\n')
  await writeProblemFile(on, 'sr', new Map())
  expect(await readdir(join(on.dataFolder, 'scan-problems'))).toEqual([])
  expect(on.lines).toEqual([])
})

test('a file that cannot be written is logged', async () => {
  const on = await start()
  await mkdir(`${problemFile(on.dataFolder, 'sr')}.new`, { recursive: true })
  await writeProblemFile(on, 'sr', new Map([['a.vhd', 'is cut']]))
  expect(on.lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ sr: 'sr' }])
})
