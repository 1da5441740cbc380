// A file system of a few MiB that a test fills: what a full disk does can only be seen on one.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { mkdtemp, rm, rmdir, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { run } from './tools.ts'

const mountArguments = (megabytes: number, folder: string): string[] => [
  '-t',
  'tmpfs',
  '-o',
  `size=${megabytes}m`,
  'tmpfs',
  folder,
]

const isAllowed = (): boolean => {
  const folder = mkdtempSync(join(tmpdir(), 'diskport-mount-'))
  try {
    execFileSync('mount', mountArguments(1, folder), { stdio: 'ignore' })
    execFileSync('umount', [folder])
    return true
  } catch {
    return false
  } finally {
    rmdirSync(folder)
  }
}

/**
 * Whether tests may mount, which needs root. In CI it is an error if not, elsewhere it is said
 * aloud and the caller skips.
 */
export const canMount = (): boolean => {
  if (isAllowed()) return true
  if (process.env['CI'] !== undefined) throw new Error('Tests on a full disk need root, to mount')
  process.stderr.write('SKIPPED: tests on a full disk, which need root, to mount\n')
  return false
}

export interface SmallFolder {
  readonly path: string
  /** Takes all space that is free. */
  fill(): Promise<void>
  /** Gives it back. */
  free(): Promise<void>
}

/** An empty one, which goes with the test. */
export const mountSmallFolder = async (megabytes: number): Promise<SmallFolder> => {
  // Not a folder of createTestFolder, which removes it after a time of its own.
  const path = await mkdtemp(join(tmpdir(), 'diskport-small-'))
  await run('mount', mountArguments(megabytes, path))
  onTestFinished(async () => {
    // Lazily: a server that has files open there may end later.
    await run('umount', ['--lazy', path])
    await rmdir(path)
  })
  const filler = join(path, 'filler')
  return {
    path,
    async fill() {
      const { bavail, bsize } = await statfs(path)
      await writeFile(filler, new Uint8Array(bavail * bsize))
    },
    free: () => rm(filler),
  }
}
