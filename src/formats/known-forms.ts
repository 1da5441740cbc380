// The table of what people send as disks: images of this server and of others, compressed files,
// archives, error pages. Read by recognise.ts; each form is told by its first bytes alone.

import type { FormatName } from '../format-table.ts'
import { formatNames, formatTable } from '../format-table.ts'
import { isTar, nameOfFirstEntry } from './tar-header.ts'

/** The compressions that are undone on the way in. */
export type CompressionName = 'gzip' | 'xz' | 'zstd' | 'bzip2'

/** Archives of machines, which are taken apart on the way in. */
export const archiveNames = ['ova', 'xva'] as const
export type ArchiveName = (typeof archiveNames)[number]

export interface KnownForm {
  /** As it follows `this is`: `a qcow2 image`. */
  readonly name: string
  /** The `format` that takes it; absent for what must become something else first. */
  readonly format?: FormatName
  /** An archive of machines, where new VDIs are made. */
  readonly archive?: ArchiveName
  /** What it is compressed with, where that is undone here. */
  readonly compression?: CompressionName
  /** What to do where no `format` takes it; absent for what only `raw` can hold, as it is. */
  readonly advice?: string
  /** @param start the first bytes, one character each; at most 512, fewer of what is shorter */
  test(start: string): boolean
}

type Test = KnownForm['test']

const beginsWith =
  (...signatures: readonly string[]): Test =>
  (start) =>
    signatures.some((signature) => start.startsWith(signature))

/** A text may begin with a byte order mark and white space. */
const isText =
  (pattern: RegExp): Test =>
  (start) =>
    pattern.test(start.replace(/^\u00ef\u00bb\u00bf/, ''))

const image = (name: string, driver: string, extension: string, test: Test): KnownForm => ({
  name,
  advice: `convert it first (qemu-img convert -f ${driver} -O qcow2 disk.${extension} disk.qcow2)`,
  test,
})

const wrapped = (compression: CompressionName, test: Test): KnownForm => ({
  name: `compressed with ${compression}`,
  compression,
  advice: 'say format=auto, or the format of the image inside',
  test,
})

/** @param command writes to its standard output what was compressed */
const compressed = (tool: string, command: string, test: Test): KnownForm => ({
  name: `compressed with ${tool}`,
  advice: `decompress it first (${command} | curl -T - URL)`,
  test,
})

/** @param command writes an entry to its standard output */
const archive = (name: string, command: string, test: Test): KnownForm => ({
  name,
  advice: `extract the disk first (${command} | curl -T - URL)`,
  test,
})

const entryIs =
  (pattern: RegExp): Test =>
  (start) =>
    isTar(start) && pattern.test(nameOfFirstEntry(start))

const images: readonly KnownForm[] = [
  image('a qcow image of version 1', 'qcow', 'qcow', beginsWith('QFI\xfb\0\0\0\x01')),
  ...formatNames.flatMap((format) => {
    const { form } = formatTable[format]
    if (form === undefined) return []
    const { name, start: signature, offset } = form
    return [{ name, format, test: (start: string) => start.startsWith(signature, offset) }]
  }),
  // Of ESX, sparse and space-efficient; and the text that names the files of a disk in pieces.
  image(
    'a VMDK image of ESX or in several files',
    'vmdk',
    'vmdk',
    beginsWith('COWD', '\xbe\xba\xfe\xca\0\0\0\0', '# Disk DescriptorFile'),
  ),
  image('a QED image', 'qed', 'qed', beginsWith('QED\0')),
  image(
    'a Parallels image',
    'parallels',
    'hdd',
    beginsWith('WithoutFreeSpace', 'WithouFreSpacExt'),
  ),
  {
    name: 'an Android sparse image',
    advice: 'convert it first (simg2img disk.simg disk.img)',
    test: beginsWith('\x3a\xff\x26\xed'),
  },
]

const compressions: readonly KnownForm[] = [
  wrapped('gzip', beginsWith('\x1f\x8b\x08')),
  wrapped('xz', beginsWith('\xfd7zXZ\0')),
  // Frames, and the skippable ones that parallel compressors put before them.
  wrapped(
    'zstd',
    (start) =>
      start.startsWith('\x28\xb5\x2f\xfd') ||
      (start.charCodeAt(0) >> 4 === 5 && start.startsWith('\x2a\x4d\x18', 1)),
  ),
  // A digit for the size of its blocks; then a block, or the end of an empty file.
  wrapped(
    'bzip2',
    (start) => start.startsWith('BZh') && ['1AY&SY', '\x17rE8P\x90'].includes(start.slice(4, 10)),
  ),
  compressed('lz4', 'lz4 -dc disk.lz4', beginsWith('\x04\x22\x4d\x18', '\x02\x21\x4c\x18')),
  compressed('lzip', 'lzip -dc disk.lz', beginsWith('LZIP\x01')),
  compressed('lzop', 'lzop -dc disk.lzo', beginsWith('\x89LZO\0\r\n\x1a\n')),
  // Usual properties, a dictionary of whole 64 KiB, and the size left open.
  compressed(
    'lzma',
    'xz --format=lzma -dc disk.lzma',
    (start) => start.startsWith('\x5d\0\0') && start.startsWith('\xff'.repeat(8), 5),
  ),
]

const machinesAdvice =
  'say format=auto, and sr_uuid in place of vdi: its disks become new VDIs of a new VM'

const archives: readonly KnownForm[] = [
  archive('a zip archive', 'unzip -p disk.zip', beginsWith('PK\x03\x04', 'PK\x05\x06')),
  archive('a 7z archive', '7z x -so disk.7z', beginsWith("7z\xbc\xaf'\x1c")),
  archive('a RAR archive', 'unrar p -inul disk.rar', beginsWith('Rar!\x1a\x07')),
  {
    name: 'an OVA appliance',
    archive: 'ova',
    advice: machinesAdvice,
    test: entryIs(/\.ovf$/i),
  },
  {
    name: 'an exported VM of XenServer (XVA)',
    archive: 'xva',
    advice: machinesAdvice,
    test: entryIs(/^ova\.xml$/),
  },
  // Also in folders: `vdi/00000000`.
  { name: 'a tar archive of the blocks of a disk', format: 'tar', test: entryIs(/^\d{8,}$/) },
  archive('a tar archive', 'tar -xOf disk.tar disk.img', isTar),
]

const pageAdvice =
  'a server answered with it instead of an image: look at it and fetch the image again'

const texts: readonly KnownForm[] = [
  {
    name: 'an HTML page',
    advice: pageAdvice,
    test: isText(/^\s*(?:<!--[^]*?-->\s*)*<(?:!doctype\s+html|html|head|body|title)\b/i),
  },
  { name: 'an XML document', advice: pageAdvice, test: isText(/^\s*<\?xml\s/i) },
  { name: 'a JSON text', advice: pageAdvice, test: isText(/^\s*\{\s*"[\s -\u00ff]*$/) },
]

/** The first that fits is what it is. */
export const knownForms: readonly KnownForm[] = [
  ...images,
  ...compressions,
  ...archives,
  ...texts,
  // An encrypted disk looks like this from its first byte on.
  { name: 'a LUKS volume', test: beginsWith('LUKS\xba\xbe') },
]
