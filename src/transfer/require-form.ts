// Refuses an upload whose bytes show that it is not what its sender says. Asked by imports before
// anything is made of it. Never takes one format for another: what is said is done, or refused by
// name.

import type { DiskWrite } from '../disk/disk.ts'
import { AppError, imageError, incompleteUpload, PastEndError } from '../errors.ts'
import type { FormatName } from '../format-table.ts'
import { MAGIC } from '../formats/qcow2/constants.ts'
import { CHUNK_HEADER_LENGTH } from '../formats/raw/decode-chunks.ts'
import type { Form } from '../formats/recognise.ts'
import {
  adviseChoice,
  describeMistake,
  FORM_LENGTH,
  recogniseEnd,
  recogniseForm,
} from '../formats/recognise.ts'
import { firstBytes } from '../formats/vhd/footer.ts'
import { viewOf } from '../image/binary.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { SECTOR_SIZE } from '../units.ts'

interface Claim {
  /** What the sender says; undefined where it says nothing, which means raw. */
  readonly format: FormatName | undefined
  /** Raw content comes in XenServer's own chunks. */
  readonly chunked: boolean
}

export interface FormCheck {
  /**
   * Looks at the first bytes, which stay to be read.
   * @throws AppError IMPORT_ERROR_GENERIC that names the form and what to do: any known form where
   *   no format was given; what cannot be of the one that was. `raw` takes everything.
   */
  requireForm(stream: ForwardReader): Promise<void>

  /**
   * The error, or one that says what the upload is or lacks: where what failed looked like another
   * form from the start, and where its tables name what did not come.
   */
  explain(error: unknown): unknown
}

export const createFormCheck = ({ format, chunked }: Claim): FormCheck => {
  // A fixed VHD begins with the guest's bytes, which may look like anything: only a failure shows
  // that the image is not one.
  let doubt: string | undefined
  return {
    async requireForm(stream) {
      if (format === 'vhd') {
        const start = await stream.peek(FORM_LENGTH)
        if (isContainer(recogniseForm(start))) doubt = describeMistake(start, 'vhd')
        if (start.length < SECTOR_SIZE) refuse('Cannot decode vhd', doubt)
      } else if (format !== undefined && format !== 'raw') {
        requireOfFormat(await stream.peek(FORM_LENGTH), format)
      } else if (chunked) await requireChunks(stream, format)
      else if (format === undefined) refuseForm(recogniseForm(await stream.peek(FORM_LENGTH)))
    },
    explain(error) {
      const isOfForm =
        error instanceof AppError &&
        (error.code === 'IMPORT_ERROR_GENERIC' || error.code === 'VDI_TOO_SMALL')
      if (isOfForm && doubt !== undefined) return imageError('Cannot decode vhd', doubt)
      return error instanceof PastEndError ? incompleteUpload(error.message) : error
    },
  }
}

/** Whether a disk does not usually begin so: not with a boot sector, nor as an encrypted one. */
const isContainer = (form: Form | undefined): boolean =>
  form !== undefined && (form.format ?? form.advice) !== undefined

const refuse = (what: string, found: string | undefined): void => {
  if (found !== undefined) throw imageError(what, found)
}

const requireOfFormat = (start: Uint8Array, format: FormatName): void => {
  const what = `Cannot decode ${format}`
  refuse(what, describeMistake(start, format))
  if (format !== 'qcow2' || isQcow2(start)) return
  const found = `this is no qcow2 image, it starts with ${firstBytes(start)}`
  throw imageError(what, `${found}: for a raw disk say format=raw`)
}

/** As far as it goes: what is shorter than the signature may be the beginning of one. */
const isQcow2 = (start: Uint8Array): boolean =>
  start.length < 4 || viewOf(start).getUint32(0) === MAGIC

const requireChunks = async (
  stream: ForwardReader,
  format: FormatName | undefined,
): Promise<void> => {
  const header = await stream.peek(CHUNK_HEADER_LENGTH)
  if (header.length < CHUNK_HEADER_LENGTH) return
  const view = viewOf(header)
  // No known form begins as the offset of a sector does.
  if (view.getUint16(0, true) % SECTOR_SIZE !== 0) {
    const form = recogniseForm(await stream.peek(FORM_LENGTH))
    if (form === undefined) return
    const found = `this is ${form.name}, not in chunks: leave out chunked=true`
    throw imageError('Cannot decode raw chunks', `${found}, and ${adviseChoice(form)}`)
  }
  if (format !== undefined || view.getBigUint64(0, true) !== 0n) return
  const length = Math.min(view.getUint32(8, true), FORM_LENGTH)
  const chunk = await stream.peek(CHUNK_HEADER_LENGTH + length)
  refuseForm(recogniseForm(chunk.subarray(CHUNK_HEADER_LENGTH)))
}

/**
 * The same raw writes, of an upload that came without a format, as long as they show no known form:
 * the first sector may come late in chunks, the footer of a fixed VHD comes last.
 * @param virtualSize where the last write ends, if all of the image comes
 * @throws AppError as requireForm
 */
export async function* requireNoForm(
  writes: AsyncIterable<DiskWrite>,
  { virtualSize, chunked }: { readonly virtualSize: number; readonly chunked: boolean },
): AsyncGenerator<DiskWrite, void, undefined> {
  let end = 0
  let last = new Uint8Array(0)
  for await (const write of writes) {
    if (write.kind === 'data') {
      if (write.offset === 0) refuseForm(recogniseForm(write.bytes))
      end = write.offset + write.bytes.length
      last = write.bytes.slice(-SECTOR_SIZE)
      if (end === virtualSize && !chunked) refuseForm(recogniseEnd(last, end))
    }
    yield write
  }
  if (!chunked) refuseForm(recogniseEnd(last, end))
}

/** @throws AppError IMPORT_ERROR_GENERIC unless the form is undefined */
const refuseForm = (form: Form | undefined): void => {
  if (form === undefined) return
  throw imageError('Cannot import without a format', `this is ${form.name}: ${adviseChoice(form)}`)
}
