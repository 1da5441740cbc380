// Whole images in and out with curl, judged by qemu-img.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames, formatsAtRest } from '../../src/format-table.ts'
import { curl } from '../support/curl.ts'
import { createVdi, login } from '../support/json-rpc.ts'
import { listLayers, mergePart, topLayer } from '../support/layers.ts'
import { shareServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
  sourceSize,
} from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import {
  asRoot,
  expectStatus,
  download,
  exportUrl,
  importUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

const mediaTypes = {
  raw: 'application/octet-stream',
  vhd: 'application/vhd',
  qcow2: 'application/x-qemu-disk',
  vdi: 'application/x-virtualbox-vdi',
  vmdk: 'application/x-vmdk',
  vhdx: 'application/x-vhdx',
  tar: 'application/x-tar',
}

const sources = [
  ['raw', 'as it is', []],
  ['vhd', 'dynamic', ['-o', 'subformat=dynamic']],
  ['vhd', 'of exact size', ['-o', 'subformat=dynamic,force_size=on']],
  ['vhd', 'fixed', ['-o', 'subformat=fixed,force_size=on']],
  ['qcow2', 'by default', []],
  ['qcow2', 'of version 2', ['-o', 'compat=0.10,cluster_size=4k']],
  ['qcow2', 'preallocated', ['-o', 'preallocation=metadata']],
  ['qcow2', 'of large clusters, written out of order', ['-o', 'cluster_size=2M', '-W']],
] as const

describe.skipIf(!hasTool('qemu-img') || !hasTool('curl'))('round trips', async () => {
  const server = await shareServer()

  test.each(sources)(
    '%s %s, uploaded into the default SR, comes back in every format',
    async (format, _, args) => {
      const source = await convertSource(
        await createRawSource(await createTestFolder()),
        format,
        ...args,
      )
      const uuid = await uploadNew(server, source, format)
      for (const wanted of formatNames) {
        const head = await curl(...asRoot, '--head', exportUrl(server, uuid, wanted))
        await expectStatus(head, 200)
        const { bodyFile, headers, downloaded } = await download(server, uuid, wanted)
        expect(String(downloaded)).toBe(head.headers.get('content-length'))
        expect(headers.get('content-length')).toBe(head.headers.get('content-length'))
        expect(headers.get('etag')).toBe(head.headers.get('etag'))
        expect((await stat(bodyFile)).size).toBe(downloaded)
        await expectSameGuest([bodyFile, wanted], [source, format])
        await expectCleanImage(bodyFile, wanted)
      }
    },
  )

  test.each(formatNames)('the head of a %s export tells what comes', async (format) => {
    const uuid = await uploadNew(server, await createRawSource(await createTestFolder()), 'raw')
    const { headers } = await curl(...asRoot, '--head', exportUrl(server, uuid, format))
    expect(headers.get('content-type')).toBe(mediaTypes[format])
    expect(headers.get('content-disposition')).toBe(`attachment; filename="${uuid}.${format}"`)
    expect(headers.get('accept-ranges')).toBe('bytes')
    expect(headers.get('etag')).toMatch(/^"[^"]+"$/)
    expect(headers.get('cache-control')).toBe('no-cache, no-store')
  })

  test('format is raw by default, in any case of letters, and the path may end with a slash', async () => {
    const uuid = await uploadNew(server, await createRawSource(await createTestFolder()), 'raw')
    const plain = await curl(...asRoot, '--head', `${server.url}/export_raw_vdi?vdi=${uuid}`)
    expect(plain.headers.get('content-length')).toBe(String(sourceSize))
    const upper = await curl(
      ...asRoot,
      '--head',
      `${server.url}/export_raw_vdi/?vdi=${uuid}&format=VHD`,
    )
    await expectStatus(upper, 200)
    expect(upper.headers.get('content-type')).toBe('application/vhd')
  })

  test.each(formatNames)('%s into a VDI made by VDI.create', async (format) => {
    const rpc = await login(server)
    const { uuid, ref } = await createVdi(rpc, 32 << 20)
    const raw = await createRawSource(await createTestFolder())
    const source = await convertSource(raw, format)
    for (const name of [uuid, ref]) {
      const result = await upload(server, name, source, format)
      await expectStatus(result, 200)
    }
    const { bodyFile, downloaded } = await download(server, uuid, 'raw')
    expect(downloaded).toBe(32 << 20)
    await expectSameGuest([bodyFile, 'raw'], [raw, 'raw'])
    const other = await curl(...asRoot, '--head', exportUrl(server, ref, 'qcow2'))
    await expectStatus(other, 200)
  })

  test('a VDI that was never written is zeros in every format', async () => {
    const { uuid } = await createVdi(await login(server), 5 << 20)
    const zeros = await createRawSource(await createTestFolder(), 'zeros.raw', {
      size: 5 << 20,
      parts: [],
    })
    for (const format of formatNames) {
      const { bodyFile } = await download(server, uuid, format)
      await expectSameGuest([bodyFile, format], [zeros, 'raw'])
      await expectCleanImage(bodyFile, format)
    }
  })

  test('an image that holds only some blocks leaves the rest as it was; replace=true does not', async () => {
    const folder = await createTestFolder()
    const uuid = await uploadNew(server, await createRawSource(folder), 'raw')
    const patch = { parts: [[10 << 20, 2 << 20]] as const, seed: 5 }
    const patchOnly = await createRawSource(folder, 'patch.raw', patch)
    const image = await convertSource(patchOnly, 'qcow2')
    await expectStatus(await upload(server, uuid, image, 'qcow2'), 200)
    const merged = await createRawSource(folder, 'merged.raw')
    await mergePart(merged, patchOnly, 10 << 20, 2 << 20)
    await expectSameGuest([(await download(server, uuid, 'vhd')).bodyFile, 'vhd'], [merged, 'raw'])

    const url = importUrl(server, { vdi: uuid, format: 'qcow2', replace: 'true' })
    await expectStatus(await curl(...asRoot, '-T', image, url), 200)
    await expectSameGuest(
      [(await download(server, uuid, 'raw')).bodyFile, 'raw'],
      [patchOnly, 'raw'],
    )
  })

  test.each(formatsAtRest)(
    'a layer of image-format %s lies in the SR as qemu-img reads it',
    async (format) => {
      const rpc = await login(server)
      const { uuid } = await createVdi(rpc, 24 << 20, { sm_config: { 'image-format': format } })
      const source = await createRawSource(await createTestFolder(), 'source.raw', {
        size: 24 << 20,
        parts: [[1 << 20, 3 << 20]],
      })
      const before = await listLayers(server.dataFolder)
      await expectStatus(await upload(server, uuid, source, 'raw'), 200)
      const added = (await listLayers(server.dataFolder)).filter((path) => !before.includes(path))
      expect(added).toHaveLength(1)
      expect(added[0]).toMatch(new RegExp(`\\.${format}$`))
      await expectSameGuest([join(server.dataFolder, added[0]!), format], [source, 'raw'])
      await expectCleanImage(join(server.dataFolder, added[0]!), format)
    },
  )

  test('the layers of two imports into one VDI are a chain that qemu-img follows', async () => {
    const folder = await createTestFolder()
    const before = await listLayers(server.dataFolder)
    const uuid = await uploadNew(server, await createRawSource(folder), 'raw')
    const patch = await createRawSource(folder, 'patch.raw', {
      parts: [[9 << 20, 1 << 20]],
      seed: 3,
    })
    expect((await upload(server, uuid, await convertSource(patch, 'qcow2'), 'qcow2')).status).toBe(
      200,
    )
    const added = (await listLayers(server.dataFolder)).filter((path) => !before.includes(path))
    expect(added.length).toBeGreaterThan(0)
    const { bodyFile } = await download(server, uuid, 'raw')
    const top = await topLayer(added.map((path) => join(server.dataFolder, path)))
    await expectSameGuest([top, 'qcow2'], [bodyFile, 'raw'])
  })
})
