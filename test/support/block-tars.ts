// Archives of numbered blocks, written without the code under test: entry by entry, right or wrong,
// or by Python from a raw disk and back.

import { createHash } from 'node:crypto'
import { MiB } from '../../src/units.ts'
import { fillPattern } from './disks.ts'
import { run } from './tools.ts'

export interface Entry {
  readonly name: string
  readonly content?: Uint8Array
  /** As the header says it. */
  readonly sizeField?: string
  readonly type?: string
  readonly magic?: string
  readonly prefix?: string
}

/** The header of an entry with its content, filled up. */
export const tarEntry = ({
  name,
  content = new Uint8Array(0),
  sizeField = `${content.length.toString(8).padStart(11, '0')}\0`,
  type = '0',
  magic = 'ustar\x0000',
  prefix = '',
}: Entry): Buffer => {
  const bytes = Buffer.alloc(512 + Math.ceil(content.length / 512) * 512)
  bytes.write(name, 0, 100, 'latin1')
  bytes.write('0000644\x000000000\x000000000\0', 100, 'latin1')
  bytes.write(sizeField, 124, 12, 'latin1')
  bytes.write('14000000000\0', 136, 'latin1')
  bytes.write(' '.repeat(8), 148)
  bytes.write(type, 156, 'latin1')
  bytes.write(magic, 257, 'latin1')
  bytes.write(prefix, 345, 'latin1')
  sealTarHeader(bytes, 0)
  bytes.set(content, 512)
  return bytes
}

/** Makes the checksum of the header at `at` right. */
export const sealTarHeader = (bytes: Buffer, at: number): void => {
  bytes.write(' '.repeat(8), at + 148)
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148)
}

export const sha1Entry = (name: string, content: Uint8Array): Buffer => {
  const digest = createHash('sha1').update(content).digest('hex')
  return tarEntry({ name: `${name}.checksum`, content: Buffer.from(digest) })
}

export const endMark = Buffer.alloc(1024)

/** The pattern of a disk, from `offset` on. */
export const patternAt = (offset: number, length = MiB): Uint8Array => {
  const bytes = new Uint8Array(length)
  fillPattern(offset, bytes)
  return bytes
}

/** A block and its checksum. */
export const block = (name: string, content: Uint8Array): Buffer =>
  Buffer.concat([tarEntry({ name, content }), sha1Entry(name, content)])

/** Packs a raw disk as XenServer does: the blocks that are not zeros, the first and the last. */
const packProgram = `
import hashlib, io, os, sys, tarfile
source, target, folder = sys.argv[1:4]
size = os.path.getsize(source)
block = 1 << 20
def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
with open(source, 'rb') as disk, tarfile.open(target, 'w', format=tarfile.USTAR_FORMAT) as archive:
    last = (size - 1) // block
    for number in range(last + 1):
        content = disk.read(block)
        if number not in (0, last) and not any(content): continue
        name = '%s%08d' % (folder, number)
        add(archive, name, content)
        add(archive, name + '.checksum', hashlib.sha1(content).hexdigest().encode())
`

/** Unpacks what XenServer exports: each checksum is compared. */
const unpackProgram = `
import hashlib, sys, tarfile
source, target = sys.argv[1:3]
with tarfile.open(source, 'r:') as archive, open(target, 'wb') as disk:
    members = archive.getmembers()
    names = [member.name for member in members]
    assert names == sorted(names), 'out of order'
    size = 0
    for content, beside in zip(members[::2], members[1::2]):
        assert content.isreg() and beside.isreg(), content.name
        assert beside.name == content.name + '.checksum', beside.name
        bytes = archive.extractfile(content).read()
        digest = archive.extractfile(beside).read().decode()
        assert digest == hashlib.sha1(bytes).hexdigest(), content.name
        offset = int(content.name.split('/')[-1]) << 20
        disk.seek(offset)
        disk.write(bytes)
        size = offset + len(bytes)
    assert len(members) % 2 == 0
    disk.truncate(size)
`

/** @param folder with its slash, or nothing */
export const packTar = async (raw: string, target: string, folder = 'vdi/'): Promise<void> => {
  await run('python3', ['-c', packProgram, raw, target, folder])
}

/** A raw file made of an archive with SHA-1 checksums. */
export const unpackTar = async (archive: string, target: string): Promise<void> => {
  await run('python3', ['-c', unpackProgram, archive, target])
}
