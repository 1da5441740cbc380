// What the last scan of a storage repository found wrong: shown in its record and by
// SR.get_scan_problems.

import type { OperationContext } from './context.ts'
import { problemFile } from './sr/problem-files.ts'

export interface ScanProblems {
  /** What is wrong with which file, by file name, in its order. */
  readonly problems: ReadonlyMap<string, string>
  /** The file that tells the same to people; there is one only while there are problems. */
  readonly file: string
}

/** None where no scan has been made since the start. */
export const listScanProblems = (
  { storage, dataFolder }: OperationContext,
  srUuid: string,
): ScanProblems => ({
  problems: storage.scanner.problems(srUuid),
  file: problemFile(dataFolder, srUuid),
})
