// Scans of QCOW2 files: XCP-ng's chains and marks, and what every export would refuse.

import { randomUUID } from 'node:crypto'
import { open, readFile, rename, stat, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { chooseTables } from '../../../../src/formats/qcow2/check-tables.ts'
import { openFileFolder } from '../../../../src/store/files/file-folder.ts'
import { inspectFile, parseImageFileName } from '../../../../src/store/scanning/inspect-file.ts'
import type { StoreFiles } from '../../../../src/store/files/store.ts'
import { MiB } from '../../../../src/units.ts'
import { expectSameBytes } from '../../../support/disks.ts'
import { createScannedFolder, uuidIn } from '../../../support/scanned-folder.ts'
import { createRawSource } from '../../../support/sources.ts'
import { hideQcow2 } from '../../../support/sr-folder.ts'
import { createTestFolder, hasTool, qemuImg } from '../../../support/tools.ts'

const diskSize = 8 * MiB

const start = async () => {
  const scanned = await createScannedFolder()
  const { folder } = scanned
  const newPath = (extension = 'qcow2'): string => join(folder, `${randomUUID()}.${extension}`)
  /** With 3 MiB of data. */
  const createImage = async (...options: string[]): Promise<{ path: string; raw: string }> => {
    const raw = await createRawSource(await createTestFolder(), 'disk.raw', {
      size: diskSize,
      parts: [[MiB, 3 * MiB]],
    })
    const path = newPath()
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, path)
    return { path, raw }
  }
  const createOverlay = async (name: string, format = 'qcow2'): Promise<string> => {
    const path = newPath()
    const backing = ['-u', '-f', 'qcow2', '-F', format, '-b', name]
    await qemuImg('create', '-q', ...backing, path, `${diskSize}`)
    return path
  }
  return { ...scanned, newPath, createImage, createOverlay }
}

const setByte = async (path: string, offset: number, value: number): Promise<void> => {
  await using file = await open(path, 'r+')
  await file.write(Buffer.of(value), 0, 1, offset)
}

/** Puts bits into the first L2 entry that has a cluster. */
const changeEntry = async (path: string, change: (entry: bigint) => bigint): Promise<void> => {
  await using file = await open(path, 'r+')
  const read = async (offset: bigint | number, length: number): Promise<Buffer> =>
    (await file.read(Buffer.alloc(length), 0, length, Number(offset))).buffer
  const l1 = (await read(40, 8)).readBigUInt64BE()
  const l2 = (await read(l1, 8)).readBigUInt64BE() & 0x00ff_ffff_ffff_fe00n
  const table = await read(l2, 65_536)
  let at = 0
  while (table.readBigUInt64BE(at) === 0n) at += 8
  table.writeBigUInt64BE(change(table.readBigUInt64BE(at)), at)
  await file.write(table, 0, table.length, Number(l2))
}

describe.skipIf(!hasTool('qemu-img'))('the folder of XCP-ng', () => {
  test('a leaf that names its parent by the mount path of its host is a VDI that reads through it', async () => {
    const { scan, read, createImage, createOverlay, catalog, srUuid } = await start()
    const base = await createImage()
    await hideQcow2(base.path)
    const mount = `/var/run/sr-mount/${randomUUID()}`
    const middle = await createOverlay(`${mount}/${basename(base.path)}`)
    const leaf = await createOverlay(`${mount}/${basename(middle)}`)
    for (const path of [middle, leaf]) await hideQcow2(path, 0)
    const { added, problems } = await scan()
    expect(problems).toEqual(new Map())
    expect(added).toEqual([uuidIn(leaf)])
    expectSameBytes(await read(uuidIn(leaf)), await readFile(base.raw))
    expect(await catalog.layers.list(srUuid)).toHaveLength(3)
  })

  test('a hidden image on which nothing lies is left alone', async () => {
    const { scan, createImage, names } = await start()
    await hideQcow2((await createImage()).path)
    expect((await scan()).problems).toEqual(new Map())
    expect(await names()).toEqual([])
  })

  test.each([
    ['cut in its header', (path: string) => truncate(path, 1000)],
    ['marked corrupt', (path: string) => setByte(path, 79, 2)],
  ])('what a file names as its parent that is %s is a layer and no VDI', async (_name, spoil) => {
    const { scan, createImage, createOverlay, storage, srUuid } = await start()
    const base = await createImage()
    const overlay = await createOverlay(`/mnt/${basename(base.path)}`)
    await spoil(overlay)
    const { problems, added } = await scan()
    expect([...problems.keys()]).toEqual([basename(overlay)])
    expect(added).toEqual([])
    // Made a VDI by its name and destroyed, it stays below the file that needs it.
    await storage.scanner.introduce(srUuid, basename(base.path), { uuid: randomUUID() })
    expect(await storage.scanner.neededByOthers(srUuid)).toEqual([uuidIn(base.path)])
  })
})

/** Bits that are reserved. */
const breakEntry = (entry: bigint): bigint => entry | (1n << 57n)

describe.skipIf(!hasTool('qemu-img'))('images that every export refuses', () => {
  test('broken ones are told of, with the overlays on them', async () => {
    const { scan, createImage, createOverlay, names } = await start()
    const broken = await createImage()
    const overlay = await createOverlay(basename(broken.path))
    const second = await createOverlay(basename(overlay))
    await changeEntry(broken.path, breakEntry)
    const { problems } = await scan()
    expect(problems.get(basename(broken.path))).toContain('the L2 entry of guest offset 0x100000 ')
    expect(problems.get(basename(overlay))).toContain(
      `its parent ${basename(broken.path)} cannot be used: Cannot read qcow2`,
    )
    expect(problems.get(basename(second))).toContain(`its parent ${basename(overlay)} cannot be`)
    expect(await names()).toEqual([])
  })

  test('one whose data was cut off is told of; one that lacks a part of its last cluster is not', async () => {
    const { scan, createImage, names } = await start()
    const [cut, short] = [await createImage(), await createImage()]
    await truncate(cut.path, (await stat(cut.path)).size - MiB)
    await truncate(short.path, (await stat(short.path)).size - 1000)
    const { problems } = await scan()
    expect([...problems.keys()]).toEqual([basename(cut.path)])
    expect(problems.get(basename(cut.path))).toContain('points past the end of the image')
    expect(await names()).toEqual([basename(short.path)])
  })

  test.each([
    ['reserved bits', breakEntry],
    ['an odd offset', (entry: bigint) => entry + 512n],
  ])('%s in a table', async (_name, change) => {
    const { scan, createImage } = await start()
    const { path } = await createImage()
    await changeEntry(path, change)
    const { problems } = await scan()
    expect(problems.get(basename(path))).toMatch(/the L2 entry of guest offset 0x100000 /)
  })

  test('a known VDI whose file was broken is missing until the old one is back', async () => {
    const { scan, createImage, vdi, folder } = await start()
    const { path } = await createImage()
    await scan()
    await rename(path, join(folder, 'whole'))
    const other = await createImage()
    await changeEntry(other.path, breakEntry)
    await rename(other.path, path)
    expect((await scan()).changed).toEqual([uuidIn(path)])
    expect((await vdi(uuidIn(path))).missing).toBe(true)
    await rename(join(folder, 'whole'), path)
    await scan()
    expect((await vdi(uuidIn(path))).missing).toBe(false)
  })
})

describe.skipIf(!hasTool('qemu-img'))('an image that a VM writes during the scan', () => {
  test('is not called broken: its new tables name clusters after the end that it had', async () => {
    const { createImage, folder } = await start()
    const { path } = await createImage()
    await truncate(path, (await stat(path)).size - MiB)
    const files = await openFileFolder(folder)
    const name = parseImageFileName(basename(path))!
    expect(await inspectFile(files, name)).toHaveProperty('reason')
    let writes = 0n
    const whileWritten: StoreFiles = {
      ...files,
      async open(fileName) {
        const image = (await files.open(fileName))!
        const state = async () => ({ ...(await image.state!()), changedAt: (writes += 1n) })
        return { ...image, state }
      },
    }
    expect(await inspectFile(whileWritten, name)).toMatchObject({ virtualSize: diskSize })
  })
})

describe('the tables that a scan reads', () => {
  const l1Of = (...offsets: number[]): Float64Array => Float64Array.from(offsets)

  test('all of them where they are few', () => {
    expect(chooseTables(l1Of(0, 5, 0, 3, 4), 3)).toEqual([1, 3, 4])
  })

  test('of many a quarter lies last in the file, the rest is spread over the disk', () => {
    const l1 = Float64Array.from({ length: 1000 }, (_, table) => 1000 - table)
    const chosen = chooseTables(l1, 8)
    expect(chosen).toHaveLength(8)
    // Those lying last come first on this disk.
    expect(chosen.slice(0, 2)).toEqual([0, 1])
    expect(chosen.slice(2)).toEqual([2, 168, 334, 501, 667, 833])
  })
})
