// What the task of an import shows as its result: what the path of the request is about.

import type { Imported, MachineOptions } from './import-request.ts'

/** VMs where machines were asked for; VDIs else, one without a list around it. */
export const resultUuids = (
  { vdiUuids, vmUuids }: Imported,
  { isRequired }: Pick<MachineOptions, 'isRequired'>,
): string | readonly string[] => {
  if (isRequired) return vmUuids
  return vdiUuids.length === 1 ? vdiUuids[0]! : vdiUuids
}
