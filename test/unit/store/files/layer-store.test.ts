import { readdir, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openFileFolder } from '../../../../src/store/files/file-folder.ts'
import { createLayerStore } from '../../../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../../../src/store/files/memory-folder.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { storeLaws } from '../../../laws/store-laws.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../../../support/disks.ts'
import { createTestFolder, run } from '../../../support/tools.ts'
import { writeDisk } from '../../../laws/format-laws.ts'

describe('stores', () => {
  storeLaws('memory', async () => createLayerStore(createMemoryFolder()))
  storeLaws('files', async () => createLayerStore(await openFileFolder(await createTestFolder())))
})

describe('raw layers', () => {
  const content = () =>
    createPatternDisk([
      ['data', 64 * KiB],
      ['hole', 4 * MiB],
      ['data', 64 * KiB],
    ])

  const writeRaw = async () => {
    const folder = await createTestFolder()
    const store = createLayerStore(await openFileFolder(folder))
    const layer = { uuid: randomUUID(), format: 'raw' as const }
    const draft = await store.createLayer(layer, { size: content().size, timestamp: new Date() })
    await writeDisk(content(), draft, MiB)
    await draft.seal()
    return { folder, store, layer }
  }

  test('a copy that filled the holes is still sparse by its map', async () => {
    const { folder, store, layer } = await writeRaw()
    const path = join(folder, `${layer.uuid}.raw`)
    await run('cp', ['--sparse=never', path, `${path}.copy`])
    await run('mv', [`${path}.copy`, path])
    const disk = await store.openLayer(layer)
    const kinds = (await listExtents(disk)).map(({ kind }) => kind)
    expect(kinds).toEqual(['data', 'hole', 'data'])
    expectSameBytes(await readAll(disk), await readAll(content()))
    await disk.close()
  })

  test('without its map the file system is asked', async () => {
    const { folder, store, layer } = await writeRaw()
    await run('rm', [join(folder, `${layer.uuid}.raw.map.json`)])
    const disk = await store.openLayer(layer)
    expect((await listExtents(disk)).map(({ kind }) => kind)).toEqual(['data', 'hole', 'data'])
    await disk.close()
  })

  test('a map that does not fit is an error, not a guess', async () => {
    const { folder, store, layer } = await writeRaw()
    await writeFile(join(folder, `${layer.uuid}.raw.map.json`), '[]')
    await expect(store.openLayer(layer)).rejects.toThrow('block map')
  })

  test('removing the layer removes its map', async () => {
    const { folder, store, layer } = await writeRaw()
    await store.removeLayer(layer)
    expect(await readdir(folder)).toEqual(['staging'])
  })
})

test('staging: files of others stay, those of spools and layers go', async () => {
  const path = await createTestFolder()
  const folder = await openFileFolder(path)
  const ours = ['spool', 'qcow2', 'vhd', 'raw.map.json', 'qcow2.map.json.next'].map(
    (ending) => `${randomUUID()}.${ending}`,
  )
  const theirs = ['notes.txt', 'disk.qcow2', `${randomUUID()}.iso`]
  for (const name of [...ours, ...theirs]) await writeFile(join(path, 'staging', name), '[]')
  await createLayerStore(folder).clearStaging()
  expect((await readdir(join(path, 'staging'))).toSorted()).toEqual(theirs.toSorted())
  // The map whose file has left staging has followed it.
  expect(await readdir(path)).toContain(ours.at(-1)!.replace(/\.next$/, ''))
})
