// What a scan found wrong, as the people who look after a folder read it: xe, other clients, a
// file.

import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startServer } from '../support/server.ts'
import { createTestFolder } from '../support/tools.ts'
import { createXe } from '../support/xe-program.ts'

test('a folder with 70 bad files: xe sr-scan prints all, and sm-config names the file that has them', async () => {
  const server = await startServer()
  const folder = await createTestFolder()
  const names = Array.from({ length: 70 }, () => `${randomUUID()}.vhd`).toSorted()
  for (const name of names) await writeFile(join(folder, name), 'no disk')
  const { ask } = createXe(server)
  const create = ['sr-create', 'name-label=old', 'type=file', `device-config:location=${folder}`]
  const sr = await ask(...create)

  const printed = (await ask('sr-scan', `uuid=${sr}`)).split('\n')
  expect(printed.map((line) => line.split(': ')[0])).toEqual(names)
  for (const line of printed) expect(line).toContain('has no room for a footer')

  const get = ['sr-param-get', `uuid=${sr}`, 'param-name=sm-config', 'param-key=scan-problems']
  const shown = (await ask(...get)).split('\n')
  expect(shown).toHaveLength(21)
  const path = /^and 50 more files: .* so does (\/.*)$/.exec(shown[20]!)?.[1]
  expect(path).toBe(join(server.dataFolder, 'scan-problems', `${sr}.txt`))
  expect((await readFile(path!, 'utf8')).split('\n')).toEqual([...printed, ''])

  for (const name of names) await rm(join(folder, name))
  expect(await ask('sr-scan', `uuid=${sr}`)).toBe('')
  expect(await readdir(join(server.dataFolder, 'scan-problems'))).toEqual([])

  await writeFile(join(folder, names[0]!), 'no disk')
  await ask('sr-scan', `uuid=${sr}`)
  await ask('sr-forget', `uuid=${sr}`)
  expect(await readdir(join(server.dataFolder, 'scan-problems'))).toEqual([])
})
