// Tells from its first bytes what an upload is, for the refusal of what is not what the sender
// says. Asked by imports and decoders. Never decides how an image is read: `format` does.

import type { FormatName } from '../format-table.ts'
import type { KnownForm } from './known-forms.ts'
import { knownForms } from './known-forms.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { describesEntry } from './tar-header.ts'
import { closesFixedDisk } from './vhd/footer.ts'

/** How many bytes are looked at: the header of a tar archive. */
export const FORM_LENGTH = 512

/** Of an archive whose first entry is described by others before it. */
const DESCRIBED_LENGTH = 4096

/** What is told of a form. */
export type Form = Omit<KnownForm, 'test'>

const bootSignatureAt = 510

/** By as few bytes as it takes; they stay to be read. */
export const peekForm = async (stream: ForwardReader): Promise<Form | undefined> => {
  const start = await stream.peek(FORM_LENGTH)
  const isDescribed = describesEntry(textOf(start))
  return recogniseForm(isDescribed ? await stream.peek(DESCRIBED_LENGTH) : start)
}

/** @param start the first bytes, fewer than FORM_LENGTH only where there are no more */
export const recogniseForm = (start: Uint8Array): Form | undefined => {
  const text = textOf(start)
  return knownForms.find((form) => form.test(text))
}

const fixedVhd: Form = { name: 'a fixed VHD image, by its footer', format: 'vhd' }

/**
 * What shows only at the end.
 * @param last the last 512 bytes
 * @param end how many bytes there are, with these
 */
export const recogniseEnd = (last: Uint8Array, end: number): Form | undefined =>
  closesFixedDisk(last, end - last.length) ? fixedVhd : undefined

/**
 * What to do with a form when no `format` was given: `say format=qcow2, or format=raw to store it
 * as it is`.
 */
export const adviseChoice = ({ format, advice }: Form): string => {
  const asItIs = 'format=raw to store it as it is'
  if (format !== undefined) return `say format=${format}, or ${asItIs}`
  return advice === undefined ? `say ${asItIs}` : `${advice}, or say ${asItIs}`
}

/**
 * What stands in the place of an image of `format`, and what to do: `this is a qcow2 image: say
 * format=qcow2`. Undefined where nothing can be said, or where it begins as an image of this format
 * does.
 */
export const describeMistake = (start: Uint8Array, format: FormatName): string | undefined => {
  const form = recogniseForm(start)
  if (form?.format === format) return undefined
  if (form === undefined) {
    const isBootable = textOf(start).startsWith('\x55\xaa', bootSignatureAt)
    return isBootable ? 'this is a raw disk, with a boot sector: say format=raw' : undefined
  }
  const asItIs = 'say format=raw to store it as it is'
  const advice = form.format === undefined ? (form.advice ?? asItIs) : `say format=${form.format}`
  return `this is ${form.name}: ${advice}`
}

/** One character a byte. */
const textOf = (start: Uint8Array): string =>
  Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, DESCRIBED_LENGTH)).toString(
    'latin1',
  )
