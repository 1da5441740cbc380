// What a scan brings into the catalog: new files, changed ones, missing ones.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { FolderContents, ScannedFile } from '../../../../src/catalog/layers/scanned-files.ts'
import { MiB } from '../../../../src/units.ts'
import {
  addLayer,
  createStartedCatalog,
  createTestSr,
  createTestVdi,
} from '../../../support/catalogs.ts'

const file = (fileName: string, more: Partial<ScannedFile> = {}): ScannedFile => ({
  fileName,
  uuid: randomUUID(),
  format: 'qcow2',
  virtualSize: MiB,
  fileSize: 1000,
  changedAt: new Date(0),
  stamp: 'first',
  parentName: null,
  ...more,
})

/** The folder of a scan; each file of `tops` becomes a VDI of the file's uuid. */
const folder = (
  srUuid: string,
  files: readonly ScannedFile[],
  tops: readonly ScannedFile[],
): FolderContents => ({
  srUuid,
  files: new Map(files.map((found) => [found.fileName, found])),
  present: new Set(files.map((found) => found.fileName)),
  vdis: new Map(tops.map((found) => [found.fileName, { uuid: found.uuid }])),
})

const start = async () => {
  const { catalog } = await createStartedCatalog()
  const srUuid = await createTestSr(catalog)
  const base = file('base.qcow2')
  const top = file('top.qcow2', { parentName: 'base.qcow2' })
  const apply = (contents: FolderContents) => catalog.scannedFiles.apply(contents)
  const applied = await apply(folder(srUuid, [base, top], [top]))
  return { catalog, srUuid, base, top, apply, applied }
}

describe('a scan', () => {
  test('makes a layer of each file that is needed, and VDIs', async () => {
    const { catalog, srUuid, base, top, applied } = await start()
    expect(applied).toEqual({ added: [top.uuid], changed: [], refused: new Map() })
    const vdi = (await catalog.vdis.get(top.uuid))!
    expect(vdi).toMatchObject({ srUuid, virtualSize: MiB, format: 'qcow2', missing: false })
    const chain = await catalog.layers.chain(vdi.layerUuid!)
    expect(chain.map(({ uuid, fileName, fileStamp }) => [uuid, fileName, fileStamp])).toEqual([
      [top.uuid, 'top.qcow2', 'first'],
      [base.uuid, 'base.qcow2', 'first'],
    ])
  })

  test('of the same files changes nothing', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    const before = [await catalog.vdis.list(), await catalog.layers.list(srUuid)]
    expect(await apply(folder(srUuid, [base, top], []))).toMatchObject({ added: [], changed: [] })
    expect([await catalog.vdis.list(), await catalog.layers.list(srUuid)]).toEqual(before)
  })

  test('gives new content to the VDIs on a file that looks different, and its size', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    const before = (await catalog.vdis.get(top.uuid))!
    const clone = await catalog.vdis.derive(top.uuid, (source) => ({
      ...source,
      uuid: randomUUID(),
    }))
    const grown = { ...top, stamp: 'second', virtualSize: 2 * MiB }
    const { changed } = await apply(folder(srUuid, [base, grown], []))
    expect(new Set(changed)).toEqual(new Set([top.uuid, clone.uuid]))
    const after = (await catalog.vdis.get(top.uuid))!
    expect(after.contentUuid).not.toBe(before.contentUuid)
    expect(after.virtualSize).toBe(2 * MiB)
    expect((await catalog.vdis.get(clone.uuid))?.contentUuid).toBe(after.contentUuid)
  })

  test('marks VDIs whose files are gone as missing, and those whose files are back as there', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    expect((await apply(folder(srUuid, [top], []))).changed).toEqual([top.uuid])
    expect((await catalog.vdis.get(top.uuid))?.missing).toBe(true)
    expect((await apply(folder(srUuid, [base, top], []))).changed).toEqual([top.uuid])
    expect((await catalog.vdis.get(top.uuid))?.missing).toBe(false)
  })

  test('forgets a layer that is no longer needed because a file has another parent', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    await apply(folder(srUuid, [base, { ...top, parentName: null, stamp: 'second' }], []))
    expect((await catalog.layers.list(srUuid)).map(({ uuid }) => uuid)).toEqual([top.uuid])
  })

  test('names the layer anew where another storage repository has one of that uuid', async () => {
    const { catalog, top, base, apply } = await start()
    const otherUuid = await createTestSr(catalog)
    const copy = { ...base, fileName: 'copy.qcow2' }
    const contents = folder(otherUuid, [copy], [])
    const vdiUuid = randomUUID()
    await apply({ ...contents, vdis: new Map([['copy.qcow2', { uuid: vdiUuid }]]) })
    const [layer] = await catalog.layers.list(otherUuid)
    expect([base.uuid, top.uuid]).not.toContain(layer?.uuid)
    expect((await catalog.vdis.get(vdiUuid))?.layerUuid).toBe(layer?.uuid)
  })
})

describe('a file does not become a VDI', () => {
  test('that is the content of one already', async () => {
    const { srUuid, base, top, apply } = await start()
    const again = folder(srUuid, [base, top], [])
    const vdis = new Map([['top.qcow2', { uuid: randomUUID() }]])
    const { added, refused } = await apply({ ...again, vdis })
    expect(added).toEqual([])
    const reason = `it is the content of the VDI ${top.uuid} already`
    expect(refused).toEqual(new Map([['top.qcow2', reason]]))
  })

  test('that is not there', async () => {
    const { srUuid, base, top, apply } = await start()
    const vdis = new Map([['gone.qcow2', { uuid: randomUUID() }]])
    const { refused } = await apply({ ...folder(srUuid, [base, top], []), vdis })
    expect(refused).toEqual(new Map([['gone.qcow2', 'there is no such image']]))
  })

  test('whose uuid a VDI of another storage repository has', async () => {
    const { catalog, srUuid: other, top, apply } = await start()
    const srUuid = await createTestSr(catalog)
    const { refused } = await apply(folder(srUuid, [{ ...top, parentName: null }], [top]))
    const reason = `the storage repository ${other} has a VDI of the uuid ${top.uuid}`
    expect(refused).toEqual(new Map([['top.qcow2', reason]]))
  })

  test('whose VDI has got other content', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    await addLayer(catalog, top.uuid)
    const { refused } = await apply(folder(srUuid, [base, top], [top]))
    const reason = `the VDI ${top.uuid} was written anew and no longer needs it`
    expect(refused).toEqual(new Map([['top.qcow2', reason]]))
  })

  test('that diskport has written', async () => {
    const { catalog, srUuid, base, top, apply } = await start()
    const { uuid } = await createTestVdi(catalog, srUuid)
    const ours = file(`${await addLayer(catalog, uuid)}.qcow2`)
    const { refused } = await apply(folder(srUuid, [base, top, ours], [ours]))
    const reason = 'diskport wrote it, for a VDI that is there'
    expect(refused).toEqual(new Map([[ours.fileName, reason]]))
  })
})
