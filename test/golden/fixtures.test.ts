// Every fixture through its format's decoder, as an upload takes it, and, where it is a whole
// image, through open, as a layer at rest is read.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { createBase } from '../../fixtures/guest.ts'
import {
  fixturesFolder,
  type ManifestEntry,
  readManifest,
  sha256,
} from '../../fixtures/manifest.ts'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../src/formats/raw/raw.ts'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB } from '../../src/units.ts'
import { decodeBytes } from '../laws/format-laws.ts'
import { readAll } from '../support/disks.ts'

const formats = { raw, vhd, qcow2 }
const manifest = await readManifest()

const readFixture = async ({ file }: ManifestEntry): Promise<Uint8Array> =>
  gunzipSync(await readFile(join(fixturesFolder, file)))

const digest = (guest: Uint8Array): Pick<ManifestEntry, 'size' | 'sha256'> => ({
  size: guest.length,
  sha256: sha256(guest),
})

/** What the guest sees after an upload in chunks of the given length. */
const upload = async (entry: ManifestEntry, chunkLength: number) => {
  const decoded = await decodeBytes(formats[entry.format], await readFixture(entry), [chunkLength])
  expect(decoded.isDelta).toBe(entry.delta ?? false)
  const disk = createMemoryDisk(decoded.virtualSize)
  if (entry.delta) await disk.write(0, createBase(decoded.virtualSize))
  await copyWrites(decoded.writes(), disk)
  return digest(await readAll(disk))
}

test('the files are those of SHA256SUMS, all of them small', async () => {
  const listed = (await readFile(join(fixturesFolder, 'SHA256SUMS'), 'utf8')).trimEnd().split('\n')
  const found: string[] = []
  for (const file of (await readdir(fixturesFolder)).toSorted()) {
    if (!file.endsWith('.gz')) continue
    const bytes = await readFile(join(fixturesFolder, file))
    expect(bytes.length, `bytes of ${file}`).toBeLessThan(50 * KiB)
    found.push(`${sha256(bytes)}  ${file}`)
  }
  expect(found).toEqual(listed.toSorted((a, b) => a.slice(66).localeCompare(b.slice(66), 'en')))
  expect(manifest.map(({ file }) => file).toSorted()).toEqual(found.map((line) => line.slice(66)))
})

describe.each(manifest.filter(({ refused }) => refused === undefined))('$file', (entry) => {
  test.each([64 * KiB, MiB, 4001])(
    `an upload in chunks of %i bytes: ${entry.about}`,
    async (length) => {
      const { size, sha256 } = entry
      expect(await upload(entry, length)).toEqual({ size, sha256 })
    },
  )
})

/**
 * Whole disks as they lie in a storage: a delta is no disk by itself, and a file of a raw layer is
 * whole sectors.
 */
const atRest = manifest.filter(
  ({ refused, delta, file }) =>
    refused === undefined && delta !== true && file !== 'raw-not-whole-sectors.raw.gz',
)

test.each(atRest)('$file at rest', async (entry) => {
  const disk = await formats[entry.format].open(createMemoryImage(await readFixture(entry)))
  const { size, sha256 } = entry
  expect(digest(await readAll(disk))).toEqual({ size, sha256 })
  await disk.close()
})

describe.each(manifest.filter(({ refused }) => refused !== undefined))('$file', (entry) => {
  const refusal = expect.objectContaining({
    name: 'AppError',
    message: expect.stringMatching(new RegExp(entry.refused!, 'i')) as string,
  }) as Error

  test(`an upload is refused: ${entry.about}`, async () => {
    await expect(upload(entry, 64 * KiB)).rejects.toEqual(refusal)
  })
})
