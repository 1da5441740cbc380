// `sm_config:image-format` of a VDI: asked for at creation, shown where a client must know it.

import type { StringMap } from '../catalog/schema.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import { KiB, TiB } from '../units.ts'

/** Clients export what this says, and VHD without it. */
const ASKED = 'image-format'

/** Shown if no format was asked for: for people; clients do not act on it. */
const CHOSEN = 'at-rest-format'

/** Above it a disk can only be qcow2, and clients must know. */
const MAXIMUM_VHD_CLIENT_SIZE = 2 * TiB - 8 * KiB

/** What `sm_config` shows: the client's keys, and one that tells the format. */
export const shownSmConfig = (
  vdi: Pick<VdiRow, 'smConfig' | 'format' | 'requestedFormat' | 'virtualSize'>,
): StringMap => {
  const isAsked = vdi.requestedFormat !== null || vdi.virtualSize > MAXIMUM_VHD_CLIENT_SIZE
  return { ...vdi.smConfig, [isAsked ? ASKED : CHOSEN]: vdi.format }
}

/**
 * The client's keys of a changed `sm_config`. Those that tell the format come back unchanged when a
 * client writes what it has read.
 * @throws AppError VALUE_NOT_SUPPORTED for another format: a VDI keeps the one that it was made in
 */
export const changedSmConfig = (changed: StringMap, vdi: VdiRow): StringMap => {
  const shown = shownSmConfig(vdi)
  for (const key of [ASKED, CHOSEN]) {
    const value = changed[key]
    if (value === undefined || value === shown[key]) continue
    const reason = `the VDI ${vdi.uuid} was made in ${vdi.format} and keeps that format`
    throw new AppError('VALUE_NOT_SUPPORTED', [`sm_config:${key}`, value, reason])
  }
  return withoutFormat(changed)
}

interface AskedFormat {
  /** As the client wrote it; undefined if none was asked for. */
  readonly formatName: string | undefined
  /** The client's keys. */
  readonly smConfig: StringMap
}

/** What the `sm_config` of a new VDI asks for. */
export const askedFormat = (smConfig: StringMap): AskedFormat => ({
  formatName: smConfig[ASKED] || undefined,
  smConfig: withoutFormat(smConfig),
})

const withoutFormat = (smConfig: StringMap): StringMap =>
  Object.fromEntries(Object.entries(smConfig).filter(([key]) => key !== ASKED && key !== CHOSEN))
