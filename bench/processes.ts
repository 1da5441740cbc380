// Programs that the benchmark runs and times.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Runs a program to its end; seconds it took. A failure is an error that shows what it printed. */
export const timed = async (program: string, args: readonly string[]): Promise<number> => {
  const start = process.hrtime.bigint()
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let printed = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (printed += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  if (code !== 0) {
    throw new Error(`${program} ${args.join(' ')} ended with ${code ?? signal}: ${printed}`)
  }
  return seconds
}

/** The first line that a program prints about its version; undefined where it is not installed. */
export const versionOf = (program: string, flag = '--version'): string | undefined => {
  try {
    // nginx tells its version on standard error.
    const all = execFileSync('sh', ['-c', `${program} ${flag} 2>&1`], { encoding: 'utf8' })
    return all.split('\n')[0]
  } catch {
    return undefined
  }
}
