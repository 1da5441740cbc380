// Imports that make what they bring: a VDI of an image, or VMs with their disks of an archive. It
// appears together with its content. Called by import-vdi.ts.

import { randomUUID } from 'node:crypto'
import { objectBounds, requireWithin } from '../../catalog/bounds.ts'
import type { SealedLayer } from '../../catalog/layers/layers.ts'
import type { SrRow } from '../../catalog/srs.ts'
import { AppError } from '../../errors.ts'
import { largestNewVdi, requireDefaultAllows } from '../../transfer/at-rest-format.ts'
import { checkImportNew, nothingCame, requireFitsSize } from '../../transfer/check-import.ts'
import { findSr, requireWritableSr } from '../../transfer/find.ts'
import { requireRoom } from '../../transfer/require-room.ts'
import { writeLayer } from '../../transfer/write-layer.ts'
import { importMachines } from '../machines/import-machines.ts'
import type { ImportRequest, Imported, NewTarget } from './import-request.ts'
import {
  announcementOf,
  imageOf,
  newVdisOnly,
  openStream,
  vdiAlone,
  withUpload,
} from './importing.ts'
import type { Importing } from './importing.ts'
import type { OpenedUpload } from './open-upload.ts'
import { decodeUpload, writeUpload } from './write-upload.ts'

/**
 * Makes a VDI of the image's size or of the one asked for, which appears together with its content.
 */
export const importNew = async (
  importing: Importing,
  { srUuid: srName, nameLabel, machines }: NewTarget,
): Promise<Imported> => {
  const { context, request, task, upload } = importing
  const sr = await findSr(context, srName)
  const srUuid = sr.uuid
  await requireWritableSr(context, srUuid)
  request.requireConditions?.(undefined)
  checkImportNew(announcementOf(importing), sr)
  if (upload.length === 0) throw nothingCame()
  requireWithin(objectBounds, { nameLabel })
  await requireRoom(context, srUuid, imageOf(importing))
  const body = await openStream(importing)
  task.begin(`Import of ${nameLabel === '' ? 'a new VDI' : nameLabel.slice(0, 200)}`)
  if (await body.atEnd()) throw nothingCame()
  return withUpload(importing, body, async (opened) => {
    const { archive } = opened
    if (archive !== undefined) {
      requireMeantForMachines(request)
      if (machines === undefined) throw newVdisOnly(archive)
      return importMachines(importing, { ...opened, archive }, sr, { nameLabel, machines })
    }
    if (machines?.isRequired === true) throw noMachines(opened)
    return vdiAlone(await writeNew(importing, opened, sr, nameLabel))
  })
}

/** @throws AppError INVALID_VALUE for what is for one disk alone */
const requireMeantForMachines = ({ size }: ImportRequest): void => {
  if (size === undefined) return
  const message = 'size= is for one disk: those of an archive have sizes of their own, leave it out'
  throw new AppError('INVALID_VALUE', ['size', String(size)], { message })
}

const noMachines = ({ format }: OpenedUpload): AppError => {
  const found =
    format.name === 'raw'
      ? 'the body is no archive that is known'
      : `the body is a ${format.name} image`
  const advice = 'send a disk to /import_raw_vdi?sr_uuid='
  return new AppError('IMPORT_ERROR_GENERIC', [
    `Cannot import machines: ${found}, must be an OVA or an XVA; ${advice}`,
  ])
}

/** @returns the uuid of the VDI */
const writeNew = async (
  importing: Importing,
  opened: OpenedUpload,
  sr: SrRow,
  nameLabel: string,
): Promise<string> => {
  const { context, request, task } = importing
  const { format } = opened
  const { size } = request
  const known = size === undefined ? { largestSize: largestNewVdi(sr) } : { diskSize: size }
  const decoded = await decodeUpload(importing, opened, sr.uuid, known)
  const { endSize } = decoded
  requireFitsSize(decoded.virtualSize, size)
  // What raw chunks leave out holds nothing: on a new VDI they are the whole disk.
  if (decoded.isDelta && format.name !== 'raw') {
    const found = 'it is a delta: import it into the VDI that holds what it was taken from'
    throw new AppError('IMPORT_ERROR_GENERIC', [
      `Cannot make a VDI from this ${format.name}: ${found}`,
    ])
  }
  requireDefaultAllows(decoded.virtualSize, sr)
  const vdi = {
    uuid: randomUUID(),
    srUuid: sr.uuid,
    nameLabel,
    virtualSize: size ?? decoded.virtualSize,
    format: sr.defaultFormat,
  }
  const commit = (sealed: SealedLayer): Promise<void> => {
    const { virtualSize = vdi.virtualSize } = sealed
    return context.catalog.layers.commitNew(sealed, { ...vdi, virtualSize }, task.ref)
  }
  await writeLayer(context, { ...vdi, work: importing, commit }, async (writer) => {
    await writeUpload(writer, importing, opened, decoded)
    return size === undefined ? endSize?.() : undefined
  })
  return vdi.uuid
}
