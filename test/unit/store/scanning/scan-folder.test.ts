// Scans of real folders into a catalog in memory.

import { randomUUID } from 'node:crypto'
import {
  appendFile,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { openFileFolder } from '../../../../src/store/files/file-folder.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { createPatternDisk, expectSameBytes, readAll } from '../../../support/disks.ts'
import { createScannedFolder, uuidIn } from '../../../support/scanned-folder.ts'
import { createRawSource } from '../../../support/sources.ts'
import { hideVhd, renameVhdParent, writeVhd } from '../../../support/sr-folder.ts'
import { createTestFolder, hasTool, qemuImg } from '../../../support/tools.ts'

describe('scans', () => {
  test('a hidden parent is a layer, the two on it are VDIs that read through it', async () => {
    const { catalog, srUuid, folder, scan, names, vdi, read } = await createScannedFolder()
    const parent = await writeVhd(folder)
    await hideVhd(parent)
    const parts = [
      ['hole', 2 * MiB],
      ['data', 2 * MiB],
      ['hole', 5 * MiB],
    ] as const
    const a = await writeVhd(folder, { parent, parts, seed: 2 })
    const b = await writeVhd(folder, {
      parent,
      parts: [
        ['hole', 8 * MiB],
        ['data', MiB],
      ],
      seed: 3,
    })
    const report = await scan()
    expect(report.problems).toEqual(new Map())
    expect(report.added.toSorted()).toEqual([a.uuid, b.uuid].toSorted())
    expect(await names()).toEqual([a.fileName, b.fileName].toSorted())
    expect(await vdi(a.uuid)).toMatchObject({
      virtualSize: 9 * MiB,
      format: 'vhd',
      missing: false,
      readOnly: false,
    })
    const layers = await catalog.layers.list(srUuid)
    expect(layers).toHaveLength(3)
    expect(layers.find(({ uuid }) => uuid === a.uuid)).toMatchObject({
      fileName: a.fileName,
      parentUuid: parent.uuid,
    })
    const below = await readAll(
      createPatternDisk(
        [
          ['data', 3 * MiB],
          ['hole', 6 * MiB],
        ],
        1,
      ),
    )
    const own = await readAll(createPatternDisk(parts, 2))
    below.set(own.subarray(2 * MiB, 4 * MiB), 2 * MiB)
    expectSameBytes(await read(a.uuid), below)
  })

  test('a hidden one on which nothing lies is left alone', async () => {
    const { catalog, srUuid, folder, scan } = await createScannedFolder()
    await hideVhd(await writeVhd(folder))
    expect(await scan()).toEqual({ added: [], changed: [], problems: new Map() })
    expect(await catalog.layers.list(srUuid)).toEqual([])
  })

  test('a second scan finds nothing new and keeps the content’s name', async () => {
    const { folder, scan, vdi } = await createScannedFolder()
    const { uuid } = await writeVhd(folder)
    await scan()
    const { contentUuid } = await vdi(uuid)
    expect(await scan()).toEqual({ added: [], changed: [], problems: new Map() })
    expect(await vdi(uuid)).toMatchObject({ contentUuid })
  })

  test('a file whose name is no uuid with a known ending is left alone', async () => {
    const { folder, scan, names } = await createScannedFolder()
    const uuid = randomUUID()
    for (const name of [
      'base.qcow2',
      `${uuid}.vhd.bak`,
      `${uuid}.iso`,
      uuid,
      `OpaqueRef:${uuid}.raw`,
      `${uuid}.VHD`,
      'lost+found',
    ]) {
      await writeFile(join(folder, name), 'x')
    }
    expect(await scan()).toEqual({ added: [], changed: [], problems: new Map() })
    expect(await names()).toEqual([])
  })

  test('garbage, links, folders and cut files are told of and stop nothing', async () => {
    const { folder, scan, names, raw } = await createScannedFolder()
    const outside = await createTestFolder()
    const target = await createRawSource(outside, 'outside.raw', { size: 4096, parts: [] })
    const name = (extension: string): string => `${randomUUID()}.${extension}`
    const [garbage, empty, link, place, cut] = [
      name('qcow2'),
      name('raw'),
      name('raw'),
      name('vhd'),
      name('vhd'),
    ]
    await writeFile(join(folder, garbage), Buffer.alloc(100_000, 7))
    await writeFile(join(folder, empty), '')
    await symlink(target, join(folder, link))
    await mkdir(join(folder, place))
    const whole = await writeVhd(folder)
    await writeFile(join(folder, cut), (await readFile(whole.path)).subarray(0, 2 * MiB))
    const good = await raw()
    const { problems, added } = await scan()
    expect(added.toSorted()).toEqual([whole.uuid, uuidIn(good)].toSorted())
    expect([...problems.keys()].toSorted()).toEqual([garbage, empty, link, place, cut].toSorted())
    expect(problems.get(garbage)).toContain('qcow2')
    expect(problems.get(empty)).toContain('the virtual size is 0')
    expect(problems.get(link)).toContain('links are not followed')
    expect(problems.get(cut)).toContain('vhd')
    expect(await names()).toHaveLength(2)
  })

  test('a VHD whose parent is gone, has another id, or is a path makes no VDI', async () => {
    const { folder, scan, names } = await createScannedFolder()
    const parent = await writeVhd(folder)
    const gone = await writeVhd(folder, { parent: { ...parent, fileName: `${randomUUID()}.vhd` } })
    const other = await writeVhd(folder, { parent: { ...parent, imageUuid: randomUUID() } })
    const path = await writeVhd(folder, { parent })
    await renameVhdParent(path.path, parent.fileName, '/etc/passwd')
    const alone = await writeVhd(folder)
    const { problems } = await scan()
    expect(problems.get(gone.fileName)).toContain('is not among the images of this folder')
    expect(problems.get(other.fileName)).toContain(`is ${parent.imageUuid}`)
    expect(problems.get(path.fileName)).toContain('passwd is not among the images of this folder')
    // Who names it, if wrongly, may need it: it is a layer.
    expect(await names()).toEqual([alone.fileName])
  })

  test('a raw file within a sector reads with zeros behind, and is told of', async () => {
    const { folder, scan, vdi, read } = await createScannedFolder()
    const uuid = randomUUID()
    await writeFile(join(folder, `${uuid}.img`), Buffer.alloc(1000, 5))
    const { problems } = await scan()
    expect(problems.get(`${uuid}.img`)).toContain('1000 bytes are no whole sectors')
    expect(await vdi(uuid)).toMatchObject({ virtualSize: 1024, format: 'raw' })
    const expected = Buffer.alloc(1024)
    expected.fill(5, 0, 1000)
    expectSameBytes(await read(uuid), expected)
  })

  test('a changed file has new content at the next open, one that was only looked at has not', async () => {
    const { catalog, folder, scan, vdi, read, raw, storage } = await createScannedFolder()
    const path = await raw()
    const [uuid, other] = [uuidIn(path), (await writeVhd(folder)).uuid]
    await scan()
    const before = await vdi(uuid)
    const otherBefore = await vdi(other)
    expectSameBytes(await read(uuid), await readFile(path))
    await appendFile(path, Buffer.alloc(4096, 9))
    const { vdi: opened, disk } = await storage.contents.open(before.uuid)
    expect(disk.size).toBe(68 * KiB)
    await disk.close()
    expect(opened.contentUuid).not.toBe(before.contentUuid)
    expect(opened).toEqual(await vdi(uuid))
    expectSameBytes(await read(uuid), await readFile(path))
    expect(await vdi(other)).toEqual(otherBefore)
    expect(await catalog.vdis.list()).toHaveLength(2)
  })

  test('a change while reading is an error that names the file', async () => {
    const { scan, raw, storage } = await createScannedFolder()
    const path = await raw()
    await scan()
    const { disk, verify } = await storage.contents.open(uuidIn(path))
    await verify()
    await utimes(path, 1000, 1000)
    await expect(verify()).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringMatching(
        new RegExp(
          `${uuidIn(path)}.raw was changed by somebody else: it was last written at .* and again at 1970-01-01T00:16:40`,
        ),
      ),
    })
    await truncate(path, 512)
    await expect(verify()).rejects.toThrow('its size was 65536 bytes and is 512')
    await disk.close()
  })

  test('a file that is gone is missed until it comes back', async () => {
    const { folder, scan, vdi, storage, read } = await createScannedFolder()
    const parent = await writeVhd(folder)
    const leaf = await writeVhd(folder, {
      parent,
      parts: [
        ['data', MiB],
        ['hole', 8 * MiB],
      ],
      seed: 4,
    })
    await scan()
    const before = await vdi(leaf.uuid)
    await rename(parent.path, `${parent.path}.away`)
    const { changed, problems } = await scan()
    expect(changed).toEqual([leaf.uuid])
    expect(problems.get(leaf.fileName)).toContain('is not among the images')
    expect(await vdi(leaf.uuid)).toEqual({ ...before, missing: true })
    await expect(storage.contents.open(leaf.uuid)).rejects.toThrow(
      `${parent.fileName} was changed by somebody else: it is gone`,
    )
    await rename(`${parent.path}.away`, parent.path)
    expect(await scan()).toMatchObject({ changed: [leaf.uuid] })
    expect(await vdi(leaf.uuid)).toEqual(before)
    expect((await read(leaf.uuid)).length).toBe(9 * MiB)
  })

  test('a snapshot by XenServer: the leaf has become a parent, another has its name', async () => {
    const { catalog, srUuid, folder, scan, vdi, read } = await createScannedFolder()
    const leaf = await writeVhd(folder)
    await scan()
    const before = await vdi(leaf.uuid)
    const base = { ...leaf, fileName: `${randomUUID()}.vhd` }
    await rename(leaf.path, join(folder, base.fileName))
    const parts = [
      ['data', 64 * KiB],
      ['hole', 9 * MiB - 64 * KiB],
    ] as const
    await writeVhd(folder, { parent: base, uuid: leaf.uuid, parts, seed: 6 })
    const snapshot = await writeVhd(folder, { parent: base, parts: [['hole', 9 * MiB]] })
    // Opened without a scan: the chain is followed, and no VDI appears.
    const bytes = await read(leaf.uuid)
    expectSameBytes(
      bytes.subarray(0, 64 * KiB),
      (await readAll(createPatternDisk(parts, 6))).subarray(0, 64 * KiB),
    )
    expectSameBytes(
      bytes.subarray(MiB, 2 * MiB),
      (await readAll(createPatternDisk([['data', 9 * MiB]], 1))).subarray(MiB, 2 * MiB),
    )
    expect((await vdi(leaf.uuid)).contentUuid).not.toBe(before.contentUuid)
    expect(await catalog.vdis.list()).toHaveLength(1)
    expect((await scan()).added).toEqual([snapshot.uuid])
    expect(await catalog.layers.list(srUuid)).toHaveLength(3)
    // Coalesced away again: what nobody needs is forgotten, and no file touched.
    await rm(snapshot.path)
    await rm(leaf.path)
    await rename(join(folder, base.fileName), leaf.path)
    await scan()
    expect(await vdi(snapshot.uuid)).toMatchObject({ missing: true })
    expect(await vdi(leaf.uuid)).toMatchObject({ missing: false })
  })

  test('a copy of the folder in another SR: VDIs are refused, and the reason told', async () => {
    const { catalog, folder, scan, storage } = await createScannedFolder()
    const leaf = await writeVhd(folder)
    await scan()
    const copy = await createTestFolder()
    await writeFile(join(copy, leaf.fileName), await readFile(leaf.path))
    const [sr] = await catalog.srs.list()
    const { uuid, createdAt: _createdAt, supportedFormats: _formats, ...row } = sr!
    const second = await catalog.srs.create({ ...row, path: copy })
    storage.stores.attach(second.uuid, createLayerStore(await openFileFolder(copy)))
    const { problems } = await storage.scanner.scan(second.uuid)
    expect(problems.get(leaf.fileName)).toContain(
      `the storage repository ${uuid} has a VDI of the uuid ${leaf.uuid}`,
    )
    // Under another uuid it can be introduced.
    const other = randomUUID()
    await storage.scanner.introduce(second.uuid, leaf.fileName, { uuid: other })
    expect((await catalog.layers.list(second.uuid)).map((layer) => layer.uuid)).not.toContain(
      leaf.uuid,
    )
    const { disk } = await storage.contents.open(other)
    expect(disk.size).toBe(9 * MiB)
    await disk.close()
  })

  test('destroying removes the files that nobody needs, also those whom the catalog does not know', async () => {
    const { catalog, srUuid, folder, scan, storage } = await createScannedFolder()
    const parent = await writeVhd(folder)
    const [a, b, c] = [
      await writeVhd(folder, { parent }),
      await writeVhd(folder, { parent }),
      await writeVhd(folder, { parent }),
    ]
    await scan()
    await catalog.forget.vdi(c.uuid)
    const destroy = async (uuid: string) => {
      await catalog.vdis.destroy(uuid)
      storage.upkeep.collect(srUuid)
      await storage.upkeep.settled()
    }
    await destroy(a.uuid)
    await expect(readFile(a.path)).rejects.toThrow('ENOENT')
    await destroy(b.uuid)
    await expect(readFile(b.path)).rejects.toThrow('ENOENT')
    // The forgotten one still lies on it.
    expect((await readFile(parent.path)).length).toBeGreaterThan(MiB)
    expect((await scan()).added).toEqual([c.uuid])
    await destroy(c.uuid)
    await expect(readFile(c.path)).rejects.toThrow('ENOENT')
    await expect(readFile(parent.path)).rejects.toThrow('ENOENT')
  })

  test('a forgotten VDI leaves its files, and a parent that another needs its layer', async () => {
    const { catalog, srUuid, folder, scan } = await createScannedFolder()
    const parent = await writeVhd(folder)
    const [a, b] = [await writeVhd(folder, { parent }), await writeVhd(folder, { parent })]
    await scan()
    await catalog.forget.vdi(a.uuid)
    const left = async () =>
      (await catalog.layers.list(srUuid)).map((layer) => layer.uuid).toSorted()
    expect(await left()).toEqual([b.uuid, parent.uuid].toSorted())
    await catalog.forget.vdi(b.uuid)
    expect(await left()).toEqual([])
    expect((await scan()).added.toSorted()).toEqual([a.uuid, b.uuid].toSorted())
  })

  describe.skipIf(!hasTool('qemu-img'))('by qemu-img', () => {
    test('QCOW2 on raw, on VHD and on QCOW2', async () => {
      const { folder, scan, vdi, read, raw } = await createScannedFolder()
      const below = await raw()
      const create = async (parent: string, format: string, name = `${randomUUID()}.qcow2`) => {
        const path = join(folder, name)
        await qemuImg('create', '-q', '-f', 'qcow2', '-F', format, '-b', parent, path)
        return path
      }
      const onRaw = await create(`${uuidIn(below)}.raw`, 'raw')
      const top = await create(`./${uuidIn(onRaw)}.qcow2`, 'qcow2')
      const vhd = await writeVhd(folder)
      const onVhd = await create(vhd.fileName, 'vpc')
      const { added, problems } = await scan()
      expect(problems).toEqual(new Map())
      expect(added.toSorted()).toEqual([uuidIn(top), uuidIn(onVhd)].toSorted())
      expectSameBytes(await read(uuidIn(top)), await readFile(below))
      expect(await vdi(uuidIn(onVhd))).toMatchObject({ format: 'qcow2' })
    })

    test('an absolute backing file is refused and never opened', async () => {
      const { folder, scan, names } = await createScannedFolder()
      const path = join(folder, `${randomUUID()}.qcow2`)
      await qemuImg(
        'create',
        '-q',
        '-u',
        '-f',
        'qcow2',
        '-F',
        'raw',
        '-b',
        '/etc/passwd',
        path,
        '1M',
      )
      const { problems } = await scan()
      expect(problems.get(`${uuidIn(path)}.qcow2`)).toContain('its parent is called "/etc/passwd"')
      expect(await names()).toEqual([])
    })
  })
})
