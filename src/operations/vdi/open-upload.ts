// The body of an import, opened: what it is wrapped in is taken off, and its format is known, as
// its sender says it or as its first bytes do. Called by import-vdi.ts.

import { AppError, imageError } from '../../errors.ts'
import type { DecodeContext, DecodedImage, ImageFormat } from '../../formats/format.ts'
import { decodeChunks } from '../../formats/raw/decode-chunks.ts'
import { decodeUnrecognised } from '../../formats/raw/decode-unrecognised.ts'
import { raw } from '../../formats/raw/raw.ts'
import type { ArchiveName } from '../../formats/known-forms.ts'
import { archiveNames } from '../../formats/known-forms.ts'
export { archiveNames }
import { adviseChoice, peekForm } from '../../formats/recognise.ts'
import { formats, requireFormat } from '../../formats/registry.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { FormCheck } from '../../transfer/require-form.ts'
import { createFormCheck, requireNoForm } from '../../transfer/require-form.ts'
import type { UnwrappedUpload } from '../../transfer/unwrap-upload.ts'
import { unwrapUpload } from '../../transfer/unwrap-upload.ts'
import { compressionOfCoding } from '../../wrapping/compressions.ts'
import type { ImportRequest, Upload } from './import-request.ts'

/** What the sender says of the format. */
export interface ClaimedFormat {
  /** Undefined: `auto`, the image is to show it. */
  readonly format: ImageFormat | undefined
  /** It must be an archive of machines of that kind. */
  readonly archive?: ArchiveName
  /** False: nothing was said, and raw is what that means. */
  readonly isSaid: boolean
}

/** @throws AppError VALUE_NOT_SUPPORTED for a name that is none */
export const readClaim = ({ formatName }: ImportRequest): ClaimedFormat => {
  const name = formatName?.toLowerCase()
  if (name === 'auto') return { format: undefined, isSaid: true }
  const archive = archiveNames.find((known) => known === name)
  if (archive !== undefined) return { format: undefined, isSaid: true, archive }
  return { format: requireFormat(formatName ?? 'raw'), isSaid: formatName !== undefined }
}

export interface OpenedUpload {
  /** Of an image; raw where it is none that is known. */
  readonly format: ImageFormat
  /** It is no image, but an archive of machines. */
  readonly archive: ArchiveName | undefined
  /** All that comes, as it comes. */
  readonly body: ForwardReader
  /** The image, without what it is wrapped in. */
  readonly content: UnwrappedUpload
  /** Tells what an error means for what its sender took it for. */
  readonly form: FormCheck
  decode(context: DecodeContext): Promise<DecodedImage>
}

interface Opening {
  readonly claim: ClaimedFormat
  readonly request: Pick<ImportRequest, 'chunked'>
  readonly upload: Pick<Upload, 'codings'>
  readonly signal: AbortSignal
}

/**
 * The caller closes `content`.
 * @param body from its first byte on; there is one
 * @throws AppError IMPORT_ERROR_GENERIC for what cannot be unwrapped, or is no image that is known
 */
export const openUpload = async (
  body: ForwardReader,
  { claim, request, upload, signal }: Opening,
): Promise<OpenedUpload> => {
  const codings = (upload.codings ?? []).map((coding) => compressionOfCoding(coding)!.name)
  // Raw may be anything, a compressed file too.
  const mayBeFound = claim.format !== raw
  const content = await unwrapUpload(body, { codings, mayBeFound, signal })
  try {
    const { chunked } = request
    const found = claim.format === undefined ? await findForm(content.stream, claim) : undefined
    const format = claim.format ?? found?.format
    const isRecognised = format !== undefined
    const form = createFormCheck({ format: claim.isSaid ? format?.name : undefined, chunked })
    return {
      format: format ?? raw,
      archive: found?.archive,
      body,
      content,
      form,
      decode: async (context) => {
        const { stream } = content
        if (!isRecognised) return decodeUnrecognised(stream, context)
        await form.requireForm(stream)
        const decoded =
          format === raw && chunked
            ? await decodeChunks(stream, context)
            : await format.decode(stream, context)
        if (claim.isSaid) return decoded
        const { virtualSize } = decoded
        return {
          ...decoded,
          writes: () => requireNoForm(decoded.writes(), { virtualSize, chunked }),
        }
      },
    }
  } catch (error) {
    await content.close()
    throw error
  }
}

/**
 * By the first bytes; neither where they are no known form's: a raw disk, or a fixed VHD.
 * @throws AppError IMPORT_ERROR_GENERIC for a form that no format takes, or one that is not the
 *   archive that it is said to be
 */
const findForm = async (
  stream: ForwardReader,
  { archive: claimed }: ClaimedFormat,
): Promise<{ readonly format?: ImageFormat; readonly archive?: ArchiveName }> => {
  const form = await peekForm(stream)
  if (claimed !== undefined && form?.archive !== claimed) {
    const found = form === undefined ? 'it does not begin as one' : `this is ${form.name}`
    throw imageError(`Cannot import the ${claimed.toUpperCase()}`, found)
  }
  if (form === undefined) return {}
  if (form.archive !== undefined) return { archive: form.archive }
  if (form.format !== undefined) return { format: formats[form.format] }
  throw imageError('Cannot import', `this is ${form.name}: ${adviseChoice(form)}`)
}

/** @throws AppError INVALID_VALUE for what only one format has, where the format is left open */
export const requireClaimMeant = ({ format }: ClaimedFormat, { chunked, short }: ImportRequest) => {
  if (format !== undefined) return
  const name = chunked ? 'chunked' : short === true ? 'short' : undefined
  if (name === undefined) return
  const message = `${name}=true is for raw images alone: say format=raw in place of format=auto`
  throw new AppError('INVALID_VALUE', [name, 'true'], { message })
}
