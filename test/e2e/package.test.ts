// What is shipped: the compiled program, as the packed npm package and the container hold it.

import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { onTestFinished, test, expect } from 'vitest'
import { login } from '../support/json-rpc.ts'
import { startServer } from '../support/server.ts'
import { run } from '../support/tools.ts'

const repository = resolve(import.meta.dirname, '../..')

test('the program that tsc makes starts without its TypeScript', async () => {
  // Beside node_modules, where the program finds its packages, and no other file of this
  // repository.
  const folder = await mkdtemp('/tmp/diskport-package-')
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'))
  await symlink(join(repository, 'package.json'), join(folder, 'package.json'))
  const tsc = join(repository, 'node_modules/.bin/tsc')
  await run(tsc, ['-p', join(repository, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')])
  const files = (await readdir(join(folder, 'dist'), { recursive: true })).filter((path) =>
    path.includes('.'),
  )
  expect(files.filter((path) => !path.endsWith('.js'))).toEqual([])
  const server = await startServer({ program: join(folder, 'dist/src/main.js') })
  expect((await login(server)).session).toMatch(/^OpaqueRef:/)
  expect(await server.stop()).toBe(0)

  // Its commands find the program beside them.
  await cp(join(repository, 'bin'), join(folder, 'bin'), { recursive: true })
  const { stdout } = await run(process.execPath, [join(folder, 'bin/diskport.mjs'), '--help'])
  expect(stdout).toMatch(/^diskport: /)
})

test.each(['diskport.mjs', 'xe.mjs'])(
  '%s tells an older Node which one is needed',
  async (name) => {
    // What stands in for an older Node: only the version that it gives as its own.
    const older = `data:text/javascript,
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })`
    const running = run(process.execPath, ['--import', older, join(repository, 'bin', name)])
    await expect(running).rejects.toThrow(
      'ended with 1\ndiskport needs Node.js 24 or newer; this is Node.js 18.20.4\n',
    )
  },
)
