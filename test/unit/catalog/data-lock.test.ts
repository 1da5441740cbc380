// The lock of a data folder, between real processes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { lockDataFolder } from '../../../src/catalog/data-lock.ts'
import { createTestFolder } from '../../support/tools.ts'

const module = new URL('../../../src/catalog/data-lock.ts', import.meta.url).href

test('a second process is told; the lock goes with the first one, even by SIGKILL', async () => {
  const path = join(await createTestFolder(), 'lock')
  const script = `const { lockDataFolder } = await import('${module}')
lockDataFolder('${path}'); console.log('locked'); setInterval(() => {}, 1000)`
  const holder = spawn('node', ['--input-type=module', '-e', script])
  onTestFinished(() => void holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  expect(() => lockDataFolder(path)).toThrow('Another diskport is running on this data folder')
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const unlock = lockDataFolder(path)
  unlock()
  lockDataFolder(path)()
})
