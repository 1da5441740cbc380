// A scan of the folder of a storage repository, and what follows from it: the log, the file for
// people, and the layers that nobody needs. Part of every use case that attaches one.

import type { SrRow } from '../../catalog/srs.ts'
import type { ScanReport } from '../../store/scanning/scan-folder.ts'
import type { OperationContext } from '../context.ts'
import { openStoreOrWarn } from './open-store.ts'
import { writeProblemFile } from './problem-files.ts'

/** @throws AppError SR_NOT_ATTACHED with the reason */
export const scanFiles = async (context: OperationContext, sr: SrRow): Promise<void> => {
  const { storage, log } = context
  // A folder may have come or gone since.
  if (sr.path !== '') {
    await storage.upkeep.reattach(sr.uuid, await openStoreOrWarn(context, sr))
  }
  await tell(context, sr.uuid, await storage.scanner.scan(sr.uuid))
  // What the scan found stands, even if collecting fails.
  await storage.upkeep.collectNow(sr.uuid).catch((error: unknown) => {
    log.error({ error, sr: sr.uuid }, 'collecting layers after a scan')
  })
}

const tell = async (
  context: OperationContext,
  srUuid: string,
  { added, changed, problems }: ScanReport,
): Promise<void> => {
  const { log } = context
  log.info({ sr: srUuid, added: added.length, changed: changed.length }, 'scanned')
  for (const [file, reason] of problems) log.warn({ sr: srUuid, file, reason }, 'found by a scan')
  await writeProblemFile(context, srUuid, problems)
}
