// Folders as XenServer leaves them: images named by their uuids, lying on each other, some of them
// hidden, beside things that are no images.

import { randomUUID } from 'node:crypto'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createFileImage } from '../../src/image/file-image.ts'
import type { FormatName } from '../../src/format-table.ts'
import { MiB } from '../../src/units.ts'
import { writeDisk } from '../laws/format-laws.ts'
import type { PatternPart } from './disks.ts'
import { createPatternDisk } from './disks.ts'
import { sealFooter } from './vhd-images.ts'

/** Of the disks in these folders. */
export const diskSize = 9 * MiB

export interface WrittenVhd {
  readonly fileName: string
  readonly path: string
  /** In the file's name: the VDI's. */
  readonly uuid: string
  /** In the footer. */
  readonly imageUuid: string
}

interface VhdToWrite {
  readonly parent?: {
    readonly fileName: string
    readonly imageUuid?: string
    readonly format?: FormatName
  }
  readonly parts?: readonly PatternPart[]
  readonly seed?: number
  readonly uuid?: string
}

/** A VHD by diskport's own writer: batmap, blocks of 2 MiB, three locators. */
export const writeVhd = async (
  folder: string,
  { parent, parts, seed = 1, uuid = randomUUID() }: VhdToWrite = {},
): Promise<WrittenVhd> => {
  const fileName = `${uuid}.vhd`
  const path = join(folder, fileName)
  const imageUuid = randomUUID()
  const disk = createPatternDisk(
    parts ?? [
      ['data', 3 * MiB],
      ['hole', 6 * MiB],
    ],
    seed,
  )
  const file = await createFileImage(path)
  const layer = await vhd.createLayer(file, {
    size: disk.size,
    uuid: imageUuid,
    timestamp: new Date('2026-01-02T03:04:05Z'),
    ...(parent && {
      parent: {
        uuid: parent.imageUuid ?? '00000000-0000-0000-0000-000000000000',
        timestamp: new Date('2026-01-02T03:04:05Z'),
        format: parent.format ?? 'vhd',
        fileName: parent.fileName,
        disk: createPatternDisk([['hole', disk.size]]),
      },
    }),
  })
  await writeDisk(disk, layer, MiB)
  await layer.seal()
  await file.close()
  return { fileName, path, uuid, imageUuid }
}

/** XenServer's mark, in both footers. */
export const hideVhd = async ({ path }: WrittenVhd): Promise<void> => {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const footer = Buffer.alloc(512)
  await file.read(footer, 0, 512, 0)
  footer[85] = 1
  sealFooter(footer, 0)
  await file.write(footer, 0, 512, 0)
  await file.write(footer, 0, 512, size - 512)
}

/**
 * The mark of XCP-ng's driver for QCOW2, as it puts it in: where the extensions end, with the
 * backing name moved out of the way.
 */
export const hideQcow2 = async (path: string, mark = 1): Promise<void> => {
  await using file = await open(path, 'r+')
  const head = Buffer.alloc(4096)
  await file.read(head, 0, head.length, 0)
  let at = head.readUInt32BE(4) === 2 ? 72 : head.readUInt32BE(100)
  while (head.readUInt32BE(at) !== 0) at += 8 + Math.ceil(head.readUInt32BE(at + 4) / 8) * 8
  const nameOffset = Number(head.readBigUInt64BE(8))
  if (nameOffset !== 0) {
    const nameLength = head.readUInt32BE(16)
    const name = Buffer.from(head.subarray(nameOffset, nameOffset + nameLength))
    head.fill(0, nameOffset, nameOffset + nameLength)
    name.copy(head, nameOffset + 16)
    head.writeBigUInt64BE(BigInt(nameOffset + 16), 8)
  }
  head.write('vate', at, 'latin1')
  head.writeUInt32BE(8, at + 4)
  head.writeBigUInt64BE(BigInt(mark) << 56n, at + 8)
  await file.write(head, 0, head.length, 0)
}

/** Another parent name and locators, of the same length as before at most. */
export const renameVhdParent = async (path: string, from: string, to: string): Promise<void> => {
  await using file = await open(path, 'r+')
  const bytes = Buffer.alloc(64 * 1024)
  await file.read(bytes, 0, bytes.length, 0)
  const swapped = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()
  const encodings = [
    (text: string) => Buffer.from(text),
    (text: string) => Buffer.from(text, 'utf16le'),
    swapped,
  ]
  for (const encode of encodings) {
    const [old, fresh] = [encode(from), encode(to)]
    for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + 1)) {
      bytes.fill(0, at, at + old.length)
      fresh.copy(bytes, at)
    }
  }
  bytes.writeUInt32BE(0, 512 + 36)
  const sum = bytes.subarray(512, 1536).reduce((total, byte) => total + byte, 0)
  bytes.writeUInt32BE(~sum >>> 0, 512 + 36)
  await file.write(bytes, 0, bytes.length, 0)
}

/** All that lies below a folder, with what a write would change. */
export const listTree = async (folder: string): Promise<string[]> => {
  const names = ['.', ...(await readdir(folder, { recursive: true })).toSorted()]
  return Promise.all(
    names.map(async (name) => {
      const { mode, size, mtimeNs, ctimeNs, ino } = await lstat(join(folder, name), {
        bigint: true,
      })
      return [name, mode, size, mtimeNs, ctimeNs, ino].join(' ')
    }),
  )
}
