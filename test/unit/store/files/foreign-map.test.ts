// Block maps beside raw files of others: used where they belong to the file, and never against its
// data.

import { randomUUID } from 'node:crypto'
import { chmod, cp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { KiB } from '../../../../src/units.ts'
import { expectSameBytes } from '../../../support/disks.ts'
import { createScannedFolder, uuidIn } from '../../../support/scanned-folder.ts'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { eventually } from '../../../support/wait.ts'

/** Two stretches of a file of 64 KiB: data, and what `data` says. */
const mapText = (data: boolean, depth = 0): string =>
  JSON.stringify([
    { start: 0, length: 4096, depth, present: true, zero: false, data: true },
    { start: 4096, length: 60 * KiB, depth, present: true, zero: !data, data },
  ])

/**
 * Returns when the file system's clock, which moves in steps of milliseconds, has left the last
 * change of `path`.
 */
const clockAfter = async (path: string): Promise<void> => {
  const { ctimeNs } = await stat(path, { bigint: true })
  const probe = join(await createTestFolder(), 'probe')
  await eventually('the clock of the file system to move on', async () => {
    await writeFile(probe, '')
    return (await stat(probe, { bigint: true })).ctimeNs > ctimeNs || undefined
  })
}

const start = async () => {
  const scanned = await createScannedFolder()
  const { storage } = scanned
  const kinds = async (path: string): Promise<string[]> => {
    const { disk } = await storage.contents.open(uuidIn(path))
    const extents = await Array.fromAsync(disk.extents())
    await disk.close()
    return extents.map(({ kind }) => kind)
  }
  const writeMap = async (path: string, text = mapText(false)): Promise<void> => {
    await writeFile(`${path}.map.json`, text)
    await clockAfter(`${path}.map.json`)
  }
  /** Another file of the same size, older than anything here, all of it data. */
  const older = async (): Promise<string> => {
    const path = await createRawSource(await createTestFolder(), 'older.raw', {
      size: 64 * KiB,
      parts: [[0, 64 * KiB]],
      seed: 9,
    })
    await utimes(path, 1000, 1000)
    return path
  }
  return { ...scanned, kinds, writeMap, older }
}

describe('a block map beside a raw file', () => {
  test('is used where it belongs to the file, and read again when it changes', async () => {
    const { scan, raw, kinds, writeMap } = await start()
    const path = await raw()
    await writeMap(path)
    expect((await scan()).problems).toEqual(new Map())
    // The file alone would say data and hole.
    expect(await kinds(path)).toEqual(['data', 'zero'])
    await writeMap(path, mapText(true))
    expect(await kinds(path)).toEqual(['data'])
    await rm(`${path}.map.json`)
    expect(await kinds(path)).toEqual(['data', 'hole'])
  })

  test.each(['cp -p', 'mv'] as const)(
    'of a file that an older one has taken the place of by %s is not used: its zeros were exported',
    async (tool) => {
      const { scan, raw, read, kinds, writeMap, older } = await start()
      const path = await raw()
      await writeMap(path)
      const source = await older()
      if (tool === 'cp -p') await cp(source, path, { preserveTimestamps: true })
      else await rename(source, path)
      const { problems } = await scan()
      expect(problems.get(`${uuidIn(path)}.raw`)).toMatch(
        /map\.json is not used: it was written at .*, and the file was last changed, moved or copied at /,
      )
      expect(await kinds(path)).toEqual(['data'])
      expectSameBytes(await read(uuidIn(path)), await readFile(path))
    },
  )

  test('is not used after the file was replaced behind a scan', async () => {
    const { scan, raw, read, writeMap, older } = await start()
    const path = await raw()
    await writeMap(path)
    await scan()
    await rename(await older(), path)
    expectSameBytes(await read(uuidIn(path)), await readFile(path))
  })

  test('whose time was set ahead is not newer than the file', async () => {
    const { scan, raw, read, writeMap, older } = await start()
    const path = await raw()
    await writeMap(path)
    await utimes(`${path}.map.json`, new Date(), new Date('2100-01-01T00:00:00Z'))
    await rename(await older(), path)
    expect((await scan()).problems.size).toBe(1)
    expectSameBytes(await read(uuidIn(path)), await readFile(path))
  })

  test('that is touched after its file was replaced is no newer map', async () => {
    const { scan, raw, read, writeMap, older } = await start()
    const path = await raw()
    await writeMap(path)
    await rename(await older(), path)
    await chmod(`${path}.map.json`, 0o600)
    expect((await scan()).problems.size).toBe(1)
    expectSameBytes(await read(uuidIn(path)), await readFile(path))
  })

  test.each(['zeros', 'holes'])('with %s where the file holds data is not used', async (kind) => {
    const { scan, raw, read, kinds, writeMap } = await start()
    const path = await raw({ parts: [[0, 64 * KiB]] })
    await writeMap(
      path,
      mapText(false).replaceAll('true,"zero":true', `${kind === 'zeros'},"zero":true`),
    )
    const { problems } = await scan()
    expect(problems.get(`${uuidIn(path)}.raw`)).toContain(
      'is not used: it tells of zeros at byte 4096, where the file holds data',
    )
    expect(await kinds(path)).toEqual(['data'])
    expectSameBytes(await read(uuidIn(path)), await readFile(path))
  })

  test('that does not fit the file is told of, and the file is not offered', async () => {
    const { scan, raw, writeMap, names } = await start()
    const [bad, deep] = [await raw(), await raw()]
    await writeMap(bad, '[]')
    await writeMap(deep, mapText(true, 1))
    const { problems } = await scan()
    expect(problems.get(`${uuidIn(bad)}.raw`)).toContain('covers 0 bytes')
    expect(problems.get(`${uuidIn(deep)}.raw`)).toContain('and not of this one alone')
    expect(await names()).toEqual([])
  })

  test('with more stretches than its file: each stretch of data is compared', async () => {
    const { scan, raw, kinds, writeMap } = await start()
    const path = await raw({
      parts: [
        [0, 4096],
        [32 * KiB, 8192],
      ],
    })
    const entries = (zeroAt: number): string =>
      JSON.stringify(
        Array.from({ length: 16 }, (_, index) => {
          const data = [0, 8, 9].includes(index) && index !== zeroAt
          return { start: index * 4096, length: 4096, depth: 0, present: true, zero: !data, data }
        }),
      )
    await writeMap(path, entries(-1))
    await scan()
    expect(await kinds(path)).toEqual(['data', 'zero', 'data', 'zero'])
    await writeMap(path, entries(9))
    expect((await scan()).problems.get(`${uuidIn(path)}.raw`)).toContain('zeros at byte 36864')
    expect(await kinds(path)).toEqual(['data', 'hole', 'data', 'hole'])
  })
})

describe('a raw layer of our own', () => {
  test('whose storage repository was forgotten and is found again keeps its map', async () => {
    const { scan, storage, srUuid, folder, names } = await start()
    const uuid = randomUUID()
    const options = { size: 64 * KiB, timestamp: new Date() }
    const draft = await storage.stores.get(srUuid).createLayer({ uuid, format: 'raw' }, options)
    await draft.write(0, new Uint8Array(4096).fill(1))
    await draft.seal()
    expect(await readdir(folder)).toContain(`${uuid}.raw.map.json`)
    // A map that is not used would be a problem.
    expect((await scan()).problems).toEqual(new Map())
    expect(await names()).toEqual([`${uuid}.raw`])
  })
})
