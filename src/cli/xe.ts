// xe, the command line of XenServer, for diskport and for any XenServer: a thin client whose
// commands all live in the server. Here: options, password, exit code.

import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Files } from './client/files.ts'
import { createFiles } from './client/files.ts'
import { printable } from './client/printable.ts'
import type { XeOptions } from './client/options.ts'
import { readOptions } from './client/options.ts'
import { readPassword } from './client/read-password.ts'
import { runSession } from './client/run-session.ts'
import { UsageError, usageText } from './client/usage.ts'
import { ConnectionLostError } from './message-stream.ts'
import { protocolVersion } from './protocol.ts'

const { stdin, stdout, stderr } = process

/** @returns the exit code */
const main = async (argv: readonly string[]): Promise<number> => {
  if (argv.includes('-version') || argv.includes('--version')) {
    stdout.write(`ThinCLI protocol: ${protocolVersion.major}.${protocolVersion.minor}\n`)
    return 0
  }
  const rc = await readFile(join(homedir(), '.xe'), 'utf8').catch(() => '')
  const options = readOptions(argv, process.env['XE_EXTRA_ARGS'] ?? '', rc)
  const isHelp = argv.includes('-help') || argv.includes('--help')
  if (options.args.length === 0 || isHelp) {
    stderr.write(usageText)
    return 0
  }
  const files = createFiles(options.args)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      removeUnfinished(files)
      process.exit(1)
    })
  }
  return run(options, files)
}

const run = async (options: XeOptions, files: Files): Promise<number> => {
  let code = 1
  try {
    const { username, password } = await readPassword(options, stdin, stderr)
    const io = { input: stdin, output: stdout, errors: stderr }
    code = await runSession({ ...options, username }, password, files, io)
    return code
  } finally {
    if (code !== 0) removeUnfinished(files)
  }
}

const removeUnfinished = (files: Files): void => {
  for (const name of files.removeCreated()) {
    stderr.write(`The file '${name}' was not whole and has been removed\n`)
  }
}

const explain = (error: unknown): string => {
  if (error instanceof UsageError) return error.message
  if (error instanceof ConnectionLostError) return 'Lost connection to the server.'
  return `Error: ${error instanceof Error ? error.message : String(error)}`
}

// A reader that has gone is met where something is written for it.
stdout.on('error', () => {})
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  stderr.write(printable(`${explain(error)}\n`))
  if (error instanceof UsageError) stderr.write(usageText)
  process.exitCode = 1
}
stdin.destroy()
