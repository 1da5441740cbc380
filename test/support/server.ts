// The real server in tests: ended with the test or the file, and its log shown on a failure.

import { rm } from 'node:fs/promises'
import { afterAll, beforeEach, expect, onTestFailed, onTestFinished } from 'vitest'
import { type ServerOptions, spawnServer, type TestServer } from './spawn-server.ts'

export { rootPassword, type TestServer } from './spawn-server.ts'

/** A server for one test, which ends it and, on failure, shows its log. */
export const startServer = async (options: ServerOptions = {}): Promise<TestServer> => {
  const server = await spawnServer(options)
  onTestFailed(() => void process.stderr.write(server.output()))
  onTestFinished(async () => {
    await server.kill()
    await rm(server.dataFolder, { recursive: true, force: true })
  })
  return server
}

/** One server for all tests of a file: `const server = await shareServer()` at its top. */
export const shareServer = async (options: ServerOptions = {}): Promise<TestServer> => {
  // In a test it would never be stopped: afterAll counts only where tests are defined.
  if (expect.getState().currentTestName !== undefined) throw new Error('Use startServer in a test')
  const server = await spawnServer(options)
  beforeEach((context) => {
    const start = server.output().length
    context.onTestFailed(() => void process.stderr.write(server.output().slice(start)))
  })
  afterAll(async () => {
    await server.kill()
    await rm(server.dataFolder, { recursive: true, force: true })
  })
  return server
}
