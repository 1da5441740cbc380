// The real server as a process of its own, on a free port and its own data folder. Called by tests,
// through server.ts, and by the benchmark.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { within } from './wait.ts'

/** Of the user root, of every server that tests start. */
export const rootPassword = 'open-sesame'

export interface TestServer {
  /** Without a slash at its end. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly pid: number
  readonly dataFolder: string
  /** All that the process has printed so far, standard error and standard output. */
  readonly output: () => string
  /** What it has printed on standard output. */
  readonly standardOutput: () => string
  /**
   * Closes the reading end of standard error: whatever the process writes there fails from now on.
   */
  closeStandardError(): void
  /** Sends SIGTERM and returns at once; `exited` tells the rest. */
  terminate(): void
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  /** SIGTERM, then the exit code. */
  stop(): Promise<number | string>
  /** SIGKILL: gone in the middle of what it does. */
  kill(): Promise<void>
  /** The most memory that the process has held at once, in bytes (VmHWM). */
  peakMemory(): Promise<number>
  /** Makes peakMemory count from now on. */
  forgetPeakMemory(): Promise<void>
}

export interface ServerOptions {
  /** Default: a new one, which the caller removes. */
  readonly dataFolder?: string
  readonly args?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** An open file for standard error in place of the pipe that `output` reads. */
  readonly standardError?: number
  /** The program, from `root`. Default: that of `npm start`. */
  readonly program?: string
  /** A copy of the repository. */
  readonly root?: string
}

const repository = resolve(import.meta.dirname, '../..')

/** What `npm start` gives to Node: flags, then the program. */
const startArguments = async (): Promise<string[]> => {
  const text = await readFile(join(repository, 'package.json'), 'utf8')
  const { scripts } = JSON.parse(text) as { scripts: { start: string } }
  return scripts.start.split(' ').slice(1)
}

/** Starts a server; returns once it says where it listens. The caller stops it. */
export const spawnServer = async (options: ServerOptions = {}): Promise<TestServer> => {
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'diskport-data-')))
  const program = await startArguments()
  if (options.program !== undefined) program.splice(-1, 1, options.program)
  const child = spawn(
    process.execPath,
    [...program, '--listen', '127.0.0.1:0', '--data', dataFolder, ...(options.args ?? [])],
    {
      cwd: options.root ?? repository,
      env: { ...process.env, DISKPORT_ROOT_PASSWORD: rootPassword, ...options.env },
      stdio: ['ignore', 'pipe', options.standardError ?? 'pipe'],
    },
  )
  const printed = collectOutput(child)
  const killChild = (): void => void child.kill('SIGKILL')
  process.once('exit', killChild)
  child.once('exit', () => process.off('exit', killChild))
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string)
  const url = await within('the server to say where it listens', listening(child, printed, exited))
  const { hostname, port } = new URL(url)

  return {
    url,
    host: hostname,
    port: Number(port),
    pid: child.pid!,
    dataFolder,
    output: () => printed.all,
    standardOutput: () => printed.stdout,
    exited,
    closeStandardError: () => void child.stderr?.destroy(),
    terminate: () => void child.kill('SIGTERM'),
    async stop() {
      child.kill('SIGTERM')
      return within('the server to end after SIGTERM', exited, 60_000)
    },
    async kill() {
      child.kill('SIGKILL')
      await within('the server to end after SIGKILL', exited)
    },
    async peakMemory() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) * 1024
    },
    forgetPeakMemory: () => writeFile(`/proc/${child.pid}/clear_refs`, '5'),
  }
}

interface Printed {
  stdout: string
  all: string
}

const collectOutput = (child: ChildProcess): Printed => {
  const printed: Printed = { stdout: '', all: '' }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text
    printed.all += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => void (printed.all += text))
  return printed
}

const listening = (
  child: ChildProcess,
  printed: Printed,
  exited: Promise<number | string>,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const look = (): void => {
      const url = /^diskport listens on (https?:\/\/\S+)\n/m.exec(printed.stdout)?.[1]
      if (url !== undefined) resolve(url)
    }
    child.stdout!.on('data', look)
    void exited.then((code) =>
      reject(new Error(`The server ended with ${code} before it listened:\n${printed.all}`)),
    )
  })
