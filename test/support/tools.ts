// The real tools that tests compare with: qemu-img, curl and others, run as processes of their own.

import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

const execute = promisify(execFile)

const isInstalled = (tool: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * Whether tests may call `tool`. In CI a missing tool is an error, elsewhere it is said aloud and
 * the caller skips: `describe.skipIf(!hasTool('qemu-img'))`.
 */
export const hasTool = (tool: string): boolean => {
  if (isInstalled(tool)) return true
  if (process.env['CI'] !== undefined) throw new Error(`${tool} is not installed`)
  process.stderr.write(`SKIPPED: tests that need ${tool}, which is not installed\n`)
  return false
}

interface ToolResult {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a tool to its end; an exit code other than 0 throws with what it printed. */
export const run = async (
  tool: string,
  args: readonly string[],
  timeout = 120_000,
): Promise<ToolResult> => {
  try {
    return await execute(tool, args, { timeout, maxBuffer: 64 << 20 })
  } catch (error) {
    const { stdout = '', stderr = '', code } = error as Partial<ToolResult> & { code?: unknown }
    const call = `${tool} ${args.join(' ')}`
    throw new Error(`${call} ended with ${String(code)}\n${stdout}${stderr}`, { cause: error })
  }
}

/** How often qemu-img is run where it could not measure the machine, as it does for LUKS. */
const measurements = 10

export const qemuImg = async (...args: string[]): Promise<ToolResult> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run('qemu-img', args)
    } catch (error) {
      const isUnmeasured = String(error).includes('Unable to get accurate CPU usage')
      if (!isUnmeasured || attempt === measurements) throw error
    }
  }
}

/** A new folder that goes with the test. */
export const createTestFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'diskport-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
