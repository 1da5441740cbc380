// The staging folder in a folder of others: which one is ours, and that no other is ever touched.

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openSrStore, makeSrStore } from '../../../../src/store/files/sr-store.ts'
import { removeStaging } from '../../../../src/store/files/staging-folder.ts'
import { createTestFolder } from '../../../support/tools.ts'

const noDataFolder = '/nowhere/diskport'
const mark = '.diskport-staging'

const start = async () => {
  const path = await createTestFolder()
  const sr = { uuid: randomUUID(), path, readOnly: false }
  const put = async (folder: string, ...names: string[]): Promise<void> => {
    await mkdir(join(path, folder), { recursive: true })
    for (const name of names) await writeFile(join(path, folder, name), name)
  }
  /** What is in a folder beside the mark. */
  const files = async (folder: string): Promise<string[]> =>
    (await readdir(join(path, folder))).filter((name) => name !== mark).toSorted()
  return { path, sr, put, files, marked: `staging-${sr.uuid}` }
}

/** As a start does it: what a crash left is removed. */
const restart = async (...args: Parameters<typeof openSrStore>): Promise<string | undefined> => {
  const { store, reason } = await openSrStore(...args)
  if (reason === undefined) await store.clearStaging()
  return reason
}

describe('the staging folder of a new storage repository', () => {
  test('is `staging`, with a mark, and found again by it', async () => {
    const { path, sr, put, files } = await start()
    await makeSrStore(sr, noDataFolder)
    expect(await readdir(path)).toEqual(['staging'])
    expect(await readFile(join(path, 'staging', mark), 'utf8')).toMatch(new RegExp(`^${sr.uuid}\n`))
    await put('staging', `${randomUUID()}.qcow2`, `${randomUUID()}.spool`, 'notes.txt')
    expect(await restart(sr, noDataFolder)).toBeUndefined()
    expect(await files('staging')).toEqual(['notes.txt'])
  })

  test('beside a `staging` of others it has another name, and a start deletes none of their files', async () => {
    const { path, sr, put, files, marked } = await start()
    const theirs = [
      `${randomUUID()}.qcow2`,
      `${randomUUID()}.spool`,
      `${randomUUID()}.raw.map.json`,
    ]
    await put('staging', ...theirs)
    await makeSrStore(sr, noDataFolder)
    expect((await readdir(path)).toSorted()).toEqual(['staging', marked])
    await put(marked, `${randomUUID()}.qcow2`)
    expect(await restart(sr, noDataFolder)).toBeUndefined()
    expect(await files('staging')).toEqual(theirs.toSorted())
    expect(await files(marked)).toEqual([])
  })

  test.each([
    ['an empty folder', (path: string) => mkdir(path)],
    ['a file', (path: string) => writeFile(path, '')],
    ['a link to a folder', (path: string) => symlink('/tmp', path)],
    [
      'the staging folder of another storage repository',
      async (path: string) => {
        await mkdir(path)
        await writeFile(join(path, mark), `${randomUUID()}\n`)
      },
    ],
  ])('leaves %s of that name alone', async (_name, make) => {
    const { path, sr, marked } = await start()
    await make(join(path, 'staging'))
    await makeSrStore(sr, noDataFolder)
    expect((await readdir(path)).toSorted()).toEqual(['staging', marked])
    expect(await restart(sr, noDataFolder)).toBeUndefined()
    expect(await readdir(join(path, marked))).toEqual([mark])
  })

  test('is used again where the storage repository gets a PBD there once more', async () => {
    const { path, sr } = await start()
    await makeSrStore(sr, noDataFolder)
    await makeSrStore(sr, noDataFolder)
    expect(await readdir(path)).toEqual(['staging'])
  })

  test('goes with it only while it is empty', async () => {
    const { path, sr, put } = await start()
    await makeSrStore(sr, noDataFolder)
    await put('staging', 'notes.txt')
    await removeStaging(path, sr.uuid)
    expect((await readdir(join(path, 'staging'))).toSorted()).toEqual([mark, 'notes.txt'])
    await rm(join(path, 'staging', 'notes.txt'))
    await removeStaging(path, randomUUID())
    expect(await readdir(path)).toEqual(['staging'])
    await removeStaging(path, sr.uuid)
    expect(await readdir(path)).toEqual([])
  })
})

describe('a storage repository from before there were marks', () => {
  const layerOf = (fileName?: string) => ({
    uuid: randomUUID(),
    format: 'qcow2' as const,
    fileName: fileName ?? null,
    fileStamp: null,
  })

  test.each([0, 1])(
    'with %i of its half-written layers in `staging` keeps that, marked',
    async (count) => {
      const { path, sr, put, files } = await start()
      const [sealed, writing] = [layerOf(), layerOf()]
      await put('.', `${sealed.uuid}.qcow2`)
      const left = [
        `${writing.uuid}.qcow2`,
        `${sealed.uuid}.qcow2.map.json.next`,
        `${randomUUID()}.spool`,
      ]
      await put('staging', ...(count === 0 ? [] : left))
      expect(await restart(sr, noDataFolder, [sealed, writing])).toBeUndefined()
      expect(await files('staging')).toEqual([])
      expect(await readdir(join(path, 'staging'))).toEqual([mark])
      // The map whose file had been put in place has followed it.
      const names = (await readdir(path)).filter((name) => name.endsWith('.map.json'))
      expect(names).toHaveLength(count)
    },
  )

  test('whose `staging` holds a file that it does not know leaves that alone for good', async () => {
    const { sr, put, files, marked } = await start()
    const sealed = layerOf()
    await put('.', `${sealed.uuid}.qcow2`)
    const theirs = `${randomUUID()}.qcow2`
    await put('staging', theirs)
    for (let starts = 0; starts < 2; starts += 1) {
      expect(await restart(sr, noDataFolder, [sealed])).toBeUndefined()
      expect(await files('staging')).toEqual([theirs])
    }
    expect(await files(marked)).toEqual([])
  })

  test.each([
    ['is empty', []],
    ['has only a `staging` of others', ['staging']],
  ])('whose folder %s is not mounted, and nothing is made in it', async (_name, folders) => {
    const { path, sr, put } = await start()
    for (const folder of folders) await put(folder, 'x')
    expect(await restart(sr, noDataFolder, [layerOf()])).toContain('its file system is not mounted')
    expect(await readdir(path)).toEqual(folders)
  })
})

describe('a read-only storage repository', () => {
  test('has none, and needs none', async () => {
    const { path, sr } = await start()
    await makeSrStore({ ...sr, readOnly: true }, noDataFolder)
    expect(await restart({ ...sr, readOnly: true }, noDataFolder)).toBeUndefined()
    expect(await readdir(path)).toEqual([])
  })
})
