// The headers of a tar archive, read and written. Every entry is one of 512 bytes, its content, and
// zeros up to whole 512 bytes; two headers of zeros end the archive.

import { imageError } from '../../errors.ts'
import { alignUp, GiB } from '../../units.ts'
import { isTar } from '../tar-header.ts'

export const HEADER_LENGTH = 512

export interface TarEntry {
  /** With the folders that lead to it. */
  readonly name: string
  /** Of its content, in bytes. */
  readonly size: number
}

/** POSIX, "ustar Interchange Format": where each field stands, and its length. */
const at = {
  name: [0, 100],
  mode: [100, 8],
  owner: [108, 8],
  group: [116, 8],
  size: [124, 12],
  changed: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
} as const

/** What 11 octal digits cannot hold. */
const LARGEST_OCTAL_SIZE = 8 * GiB

/** Content and the zeros after it. */
export const paddedSize = (size: number): number => alignUp(size, HEADER_LENGTH)

/** What else an entry may be, as it follows `is`. Archives from before POSIX have no digit. */
const otherTypes: Readonly<Record<string, string>> = {
  1: 'a hard link',
  2: 'a symbolic link',
  3: 'a character device',
  4: 'a block device',
  5: 'a folder',
  6: 'a FIFO',
  g: 'a pax header',
  x: 'a pax header',
  K: 'a long name of GNU tar',
  L: 'a long name of GNU tar',
  S: 'a sparse file of GNU tar',
}

/** What a header says, whatever kind of entry it begins. */
export interface TarHeader extends TarEntry {
  /** One character: `0` or a zero byte for a regular file. */
  readonly type: string
}

/**
 * Undefined for a header of zeros.
 * @param where as it follows `the header`: `at 0x200`
 * @throws AppError IMPORT_ERROR_GENERIC for what is no header
 */
export const readHeader = (
  header: Uint8Array,
  where: string,
  what: string,
): TarHeader | undefined => {
  const text = Buffer.from(header.buffer, header.byteOffset, HEADER_LENGTH).toString('latin1')
  if (/^\0*$/.test(text)) return undefined
  if (!isTar(text)) throw imageError(what, `the header ${where} is none of tar, or damaged`)
  const field = (name: keyof typeof at): string =>
    text.slice(at[name][0], at[name][0] + at[name][1])
  const string = (name: keyof typeof at): string => field(name).split('\0', 1)[0]!
  const prefix = field('magic').startsWith('ustar\0') ? string('prefix') : ''
  const name = prefix === '' ? string('name') : `${prefix}/${string('name')}`
  const size = readNumber(field('size'))
  if (size === undefined) {
    const found = `the size of ${quote(name)} is ${JSON.stringify(field('size'))}`
    throw imageError(what, `${found}, not an octal number`)
  }
  return { name, size, type: field('type') }
}

/** Octal digits, or as GNU tar writes what needs more of them: a bit, and the number itself. */
const readNumber = (field: string): number | undefined => {
  const digits = /^ *([0-7]{1,12})[ \0]*$/.exec(field)?.[1]
  if (digits !== undefined) return Number.parseInt(digits, 8)
  if (!field.startsWith('\x80')) return undefined
  const number = Number(`0x${Buffer.from(field.slice(1), 'latin1').toString('hex')}`)
  return Number.isSafeInteger(number) ? number : undefined
}

export const isRegularFile = ({ type }: TarHeader): boolean => type === '0' || type === '\0'

/** What an entry is, as it follows its name: `is a folder`. */
export const describeType = ({ type }: TarHeader): string =>
  `is ${otherTypes[type] ?? `of the unknown type ${JSON.stringify(type)}`}`

/**
 * The entry that a header begins, which is a regular file. Undefined for a header of zeros.
 * @param where as it follows `the header`: `at 0x200`
 * @throws AppError IMPORT_ERROR_GENERIC for what is no header, or of anything but a regular file
 */
export const parseHeader = (
  header: Uint8Array,
  where: string,
  what: string,
): TarEntry | undefined => {
  const found = readHeader(header, where, what)
  if (found === undefined) return undefined
  const { name, size } = found
  if (isRegularFile(found)) return { name, size }
  throw imageError(
    what,
    `${quote(name)} ${describeType(found)}: only regular files with short names hold a disk (tar --format=ustar, each file by its name)`,
  )
}

/** A name from an archive, for a message. */
export const quote = (name: string): string => JSON.stringify(name.slice(0, 100))

/**
 * 512 bytes: a regular file that everyone may read and root owns.
 * @param changedAt seconds since 1970
 */
export const encodeHeader = ({ name, size }: TarEntry, changedAt: number): Uint8Array => {
  const header = Buffer.alloc(HEADER_LENGTH)
  const write = (field: keyof typeof at, text: string): void => {
    header.write(text, at[field][0], at[field][1], 'latin1')
  }
  const octal = (field: keyof typeof at, value: number): void => {
    write(field, value.toString(8).padStart(at[field][1] - 1, '0'))
  }
  write('name', name)
  octal('mode', 0o644)
  octal('owner', 0)
  octal('group', 0)
  if (size < LARGEST_OCTAL_SIZE) octal('size', size)
  else {
    // As GNU tar does: whoever reads archives of disks reads it.
    header[at.size[0]] = 0x80
    header.writeBigUInt64BE(BigInt(size), at.size[0] + 4)
  }
  octal('changed', changedAt)
  write('checksum', ' '.repeat(8))
  write('type', '0')
  write('magic', 'ustar\x0000')
  octal('deviceMajor', 0)
  octal('deviceMinor', 0)
  const sum = header.reduce((total, byte) => total + byte, 0)
  write('checksum', `${sum.toString(8).padStart(6, '0')}\0 `)
  return header
}
