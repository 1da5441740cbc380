// Whether the catalog's file can be written: by what the last failed write left, tried again, and
// by the free space beside it. database.ts tells it of failures; /health asks.

import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MiB } from '../units.ts'
import { isUnwritable } from './unwritable.ts'

/**
 * With less than this free, the file may still take a small write and not the next one, in bytes.
 */
const reserve = MiB

interface WriteWatch {
  /** Told of each statement that fails. */
  failed(error: unknown): void

  /** Why nothing can be recorded, for people; undefined: it can. */
  whyUnwritable(): Promise<string | undefined>
}

/**
 * @param path of the file, or `:memory:`
 * @param probe writes something small; asked for only after a failure
 */
export const createWriteWatch = (path: string, probe: () => Promise<void>): WriteWatch => {
  let hasFailed = false
  const tryAgain = async (): Promise<string | undefined> => {
    try {
      await probe()
      hasFailed = false
      return undefined
    } catch (error) {
      if (!isUnwritable(error)) throw error
      return `the catalog cannot be written: ${error instanceof Error ? error.message : ''}`
    }
  }
  const lackOfSpace = async (): Promise<string | undefined> => {
    if (path === ':memory:') return undefined
    const { bavail, bsize } = await statfs(dirname(path))
    if (bavail * bsize >= reserve) return undefined
    // Whoever asks for the health need not know where the folder is.
    return `the data folder is full: ${bavail * bsize} bytes are free, at least ${reserve} are needed`
  }
  return {
    failed(error) {
      if (isUnwritable(error)) hasFailed = true
    },
    whyUnwritable: async () => (await lackOfSpace()) ?? (hasFailed ? tryAgain() : undefined),
  }
}
