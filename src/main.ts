// The command `diskport`: reads the command line, then serves until SIGTERM or changes users. What
// a server consists of is put together in server.ts. Needs the flags of bin/diskport.mjs.

import { runUserAction } from './admin/run-user-action.ts'
import { readUserCommand } from './admin/user-command.ts'
import { readInvocation } from './config.ts'
import type { Config } from './config.ts'
import { toAppError } from './errors.ts'
import { startServer } from './server.ts'

/** Exit codes of sysexits.h: wrong usage, and a server that could not start. */
const EX_USAGE = 64
const EX_UNAVAILABLE = 69

/** Of `diskport user`, where it could not do what it was asked for. */
const EX_REFUSED = 1

const fail = (lines: readonly string[], exitCode: number): void => {
  process.stderr.write(`${lines.map((line) => `diskport: ${line}`).join('\n')}\n`)
  process.exitCode = exitCode
}

const serve = async (config: Config): Promise<void> => {
  // A closed pipe or a full disk behind one of them is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const server = await startServer(config)
  if (server.generatedPassword !== undefined) {
    process.stderr.write(`The password of the user root is ${server.generatedPassword}\n`)
    process.stderr.write('It is shown only now. Set another with: diskport user passwd root\n')
  }
  const lines = server.urls.map((url) => `diskport listens on ${url}\n`)
  if (server.selfSigned !== undefined) {
    const { path, fingerprint } = server.selfSigned
    lines.push(`its certificate is ${path}, SHA-256 fingerprint ${fingerprint}\n`)
  }
  // In one write: who waits for the first line has the others too.
  process.stdout.write(lines.join(''))
  let stopping = false
  const stop = (): void => {
    // Asked twice, somebody is in a hurry.
    if (stopping) process.exit(1)
    stopping = true
    server.stop().catch((error: unknown) => {
      fail([toAppError(error).message], EX_UNAVAILABLE)
    })
  }
  process.on('SIGHUP', () => {
    server.reload().catch((error: unknown) => {
      process.stderr.write(`diskport: ${toAppError(error).message}; the old one stays\n`)
    })
  })
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

const [first, ...rest] = process.argv.slice(2)
const invocation =
  first === 'user'
    ? readUserCommand(rest, process.env)
    : readInvocation(process.argv.slice(2), process.env)

switch (invocation.kind) {
  case 'show':
    process.stdout.write(`${invocation.text}\n`)
    break
  case 'wrong':
    fail(invocation.problems, EX_USAGE)
    break
  case 'run':
    try {
      const { stdin: input, stdout: output, stderr: errors } = process
      await runUserAction(invocation.data, invocation.action, { input, output, errors })
    } catch (error) {
      fail([toAppError(error).message], EX_REFUSED)
    }
    // A terminal or pipe without a reader would keep the process alive.
    process.stdin.destroy()
    break
  case 'serve':
    try {
      await serve(invocation.config)
    } catch (error) {
      fail([toAppError(error).message], EX_UNAVAILABLE)
    }
    break
}
