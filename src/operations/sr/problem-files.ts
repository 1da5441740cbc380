// What the last scan of each storage repository found wrong, as text files in the data folder: for
// people, who may find thousands of files there. Never read by the server.

import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isNodeError } from '../../errors.ts'
import type { OperationContext } from '../context.ts'

const folderIn = (dataFolder: string): string => join(dataFolder, 'scan-problems')

/** Absolute; there is a file only while there are problems. */
export const problemFile = (dataFolder: string, srUuid: string): string =>
  join(folderIn(dataFolder), `${srUuid}.txt`)

/** Replaces the file; without problems there is none. A failure is logged. */
export const writeProblemFile = async (
  { dataFolder, log }: Pick<OperationContext, 'dataFolder' | 'log'>,
  srUuid: string,
  problems: ReadonlyMap<string, string>,
): Promise<void> => {
  try {
    await replaceFile(dataFolder, srUuid, problems)
  } catch (error) {
    log.error({ error, sr: srUuid }, 'writing down what a scan found wrong')
  }
}

const replaceFile = async (
  dataFolder: string,
  srUuid: string,
  problems: ReadonlyMap<string, string>,
): Promise<void> => {
  const target = problemFile(dataFolder, srUuid)
  if (problems.size === 0) return rm(target, { force: true })
  await mkdir(folderIn(dataFolder), { mode: 0o700 }).catch((error: unknown) => {
    if (!isNodeError(error) || error.code !== 'EEXIST') throw error
  })
  await writeFile(`${target}.new`, `${problemLines(problems).join('\n')}\n`, { mode: 0o600 })
  await rename(`${target}.new`, target)
}

/** One line for each file. */
export const problemLines = (problems: ReadonlyMap<string, string>): string[] =>
  Array.from(problems, ([file, reason]) => `${file}: ${reason}`)
