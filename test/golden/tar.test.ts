// Both ways against Python's tarfile and hashlib, GNU tar, sha1sum and xxhsum.

import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk } from '../../src/disk/disk.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { tar } from '../../src/formats/tar/tar.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { openFileSpool } from '../../src/image/spool.ts'
import { KiB, MiB } from '../../src/units.ts'
import { lawDisks, testIdentity } from '../laws/format-laws.ts'
import { packTar, unpackTar } from '../support/block-tars.ts'
import { createPatternDisk, expectSameBytes, readAll } from '../support/disks.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'

/** Decodes a file as an upload, into a VDI of the right size or into none. */
const decodeFile = async (path: string, diskSize?: number): Promise<Disk> => {
  const decoded = await tar.decode(createForwardReader(createReadStream(path)), {
    buffers: createBufferPool(4, 64 * KiB),
    openSpool: () => openFileSpool(`${path}.spool`),
    streamLength: (await stat(path)).size,
    ...(diskSize === undefined ? {} : { diskSize }),
  })
  const disk = createMemoryDisk(decoded.virtualSize)
  await copyWrites(decoded.writes(), disk)
  return disk
}

const expectContent = async (path: string, expected: Uint8Array): Promise<void> => {
  const opened = await tar.open(await openFileImage(path))
  expectSameBytes(await readAll(opened), expected, 'opened')
  await opened.close()
  for (const diskSize of [expected.length, undefined]) {
    const decoded = await decodeFile(path, diskSize)
    expectSameBytes(await readAll(decoded), expected, `decoded into ${diskSize}`)
  }
}

const writeRaw = async (name: string): Promise<{ folder: string; raw: string }> => {
  const folder = await createTestFolder()
  const raw = join(folder, 'source.raw')
  await writeFile(raw, await readAll(createPatternDisk(lawDisks[name]!)))
  return { folder, raw }
}

describe.skipIf(!hasTool('python3'))('what Python packs', () => {
  test.each(
    Object.keys(lawDisks).flatMap((name) =>
      ['', 'vdi/', 'Ref:12/'].map((folder) => [name, folder] as const),
    ),
  )('%s, in the folder "%s": opens and decodes', async (name, prefix) => {
    const { folder, raw } = await writeRaw(name)
    const archive = join(folder, 'disk.tar')
    await packTar(raw, archive, prefix)
    await expectContent(archive, await readFile(raw))
  })
})

/** The image of a disk in a file, and an empty folder beside it. */
const exportDisk = async (name: string, subformat: string) => {
  const { folder, raw } = await writeRaw(name)
  const archive = join(folder, 'disk.tar')
  const disk = createPatternDisk(lawDisks[name]!)
  await writeFile(archive, await readAll(await tar.plan(disk, testIdentity, { subformat })))
  const target = join(folder, 'unpacked')
  await mkdir(target)
  return { folder, raw, archive, target }
}

describe.skipIf(!hasTool('python3') || !hasTool('tar'))('what is written', () => {
  test.each(Object.keys(lawDisks))('%s: Python unpacks it', async (name) => {
    const { folder, raw, archive } = await exportDisk(name, 'sha1')
    const back = join(folder, 'back.raw')
    await unpackTar(archive, back)
    expectSameBytes(await readFile(back), await readFile(raw))
  })

  test('GNU tar lists it', async () => {
    const { archive } = await exportDisk('a sector short of a block', 'sha1')
    const listing = await run('tar', ['--list', '--verbose', '--utc', '--file', archive])
    expect(listing.stderr).toBe('')
    expect(listing.stdout.replaceAll(/ +/g, ' ')).toBe(
      [
        ['1048576', '00000000'],
        ['40', '00000000.checksum'],
        ['1048576', '00000002'],
        ['40', '00000002.checksum'],
        ['1048064', '00000003'],
        ['40', '00000003.checksum'],
      ]
        .map(([size, name]) => `-rw-r--r-- 0/0 ${size} 2026-01-02 03:04 vdi/${name}\n`)
        .join(''),
    )
  })

  test.each([
    ['sha1', 'sha1sum', [], '.checksum'],
    ['xxhash', 'xxhsum', ['-H64'], '.xxhash'],
  ] as const)('GNU tar extracts it, and the %s of each block is right', async (...told) => {
    const [subformat, tool, args, ending] = told
    expect(hasTool(tool)).toBe(true)
    const { archive, target } = await exportDisk('scattered', subformat)
    await run('tar', ['--extract', '--file', archive, '--directory', target])
    const names = (await readdir(join(target, 'vdi'))).toSorted()
    const blocks = names.filter((name) => !name.includes('.'))
    expect(names).toEqual(blocks.flatMap((name) => [name, name + ending]))
    expect(blocks.length).toBeGreaterThan(4)
    for (const name of blocks) {
      const path = join(target, 'vdi', name)
      const [digest] = (await run(tool, [...args, path])).stdout.split(' ')
      const written = await readFile(path + ending, 'utf8')
      expect(written).toBe(subformat === 'xxhash' ? digest!.toUpperCase() : digest)
    }
  })

  test.each(['ustar', 'gnu', 'v7'])('packed again by GNU tar as %s, it is read', async (form) => {
    const { raw, folder, archive, target } = await exportDisk('scattered', 'xxhash')
    await run('tar', ['--extract', '--file', archive, '--directory', target])
    const again = join(folder, 'again.tar')
    const names = (await readdir(join(target, 'vdi'))).toSorted().map((name) => `vdi/${name}`)
    await run('tar', [`--format=${form}`, '-cf', again, '--directory', target, ...names])
    await expectContent(again, await readFile(raw))
  })

  test('pax headers are refused by name', async () => {
    const { folder, archive, target } = await exportDisk('full', 'sha1')
    await run('tar', ['--extract', '--file', archive, '--directory', target])
    const again = join(folder, 'again.tar')
    const args = ['--format=pax', '--pax-option=comment=here', '-cf', again]
    await run('tar', [...args, '--directory', target, 'vdi/00000000', 'vdi/00000000.checksum'])
    await expect(decodeFile(again, 5 * MiB)).rejects.toThrow(
      /is a pax header: only regular files .*tar --format=ustar/,
    )
  })
})
