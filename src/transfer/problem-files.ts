// What the last scan of each storage repository found wrong, as text files in the data folder: for people,
// who may find thousands of files there. Never read by the server.

import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isNodeError } from '../errors.ts'

export interface ProblemFiles {
  /** Absolute; there is a file only while there are problems. */
  path(srUuid: string): string

  /** Replaces the file; without problems there is none. @throws an error of the operating system */
  write(srUuid: string, problems: ReadonlyMap<string, string>): Promise<void>
}

export const createProblemFiles = (dataFolder: string): ProblemFiles => {
  const folder = join(dataFolder, 'scan-problems')
  const path = (srUuid: string): string => join(folder, `${srUuid}.txt`)
  return {
    path,
    async write(srUuid, problems) {
      const target = path(srUuid)
      if (problems.size === 0) return rm(target, { force: true })
      await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
        if (!isNodeError(error) || error.code !== 'EEXIST') throw error
      })
      await writeFile(`${target}.new`, `${problemLines(problems).join('\n')}\n`, { mode: 0o600 })
      await rename(`${target}.new`, target)
    },
  }
}

/** A line a file. */
export const problemLines = (problems: ReadonlyMap<string, string>): string[] =>
  Array.from(problems, ([file, reason]) => `${file}: ${reason}`)
