// Our xe as a process, the way a stranger runs it.

import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { rootPassword, type TestServer } from './server.ts'

export const xeProgram = resolve(import.meta.dirname, '../../src/cli/xe.ts')

export interface XeOutcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs xe with nothing in its environment but what is told. */
export const runXe = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<XeOutcome> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [xeProgram, ...args],
      { env: { PATH: process.env['PATH'], HOME: '/nowhere', ...env }, timeout: 60_000 },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    )
    child.stdin?.end()
  })

/** The options that take root to the server. */
export const xeOptions = ({ host, port }: TestServer): string[] => {
  return ['-s', host, '-p', String(port), '-u', 'root', '-pw', rootPassword]
}

/** xe as root of the server. */
export const createXe = (server: TestServer) => {
  const xe = (...args: string[]): Promise<XeOutcome> => runXe([...xeOptions(server), ...args])

  /** What xe prints, without the last line end; throws where it fails. */
  const ask = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await xe(...args)
    if (code !== 0) throw new Error(`xe ${args.join(' ')} ended with ${code}: ${err}`)
    return out.trim()
  }
  return { xe, ask }
}
