// Exports with base=: what two VDIs of the server differ in, restored onto the one, gives the
// other.

import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { startServer } from '../support/server.ts'
import {
  createRawSource,
  expectCleanImage,
  expectSameGuest,
  sourceSize,
} from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg } from '../support/tools.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  upload,
  uploadNew,
} from '../support/transfer.ts'

/** Three disks: empty, with scattered data, and full of another pattern. */
const disks = {
  empty: { parts: [] },
  scattered: {},
  full: { parts: [[0, sourceSize]] as const, seed: 5 },
}
type Name = keyof typeof disks
const names = Object.keys(disks) as Name[]
const pairs = names.flatMap((name) => names.map((base) => [name, base] as const))

const start = async () => {
  const server = await startServer()
  const folder = await createTestFolder()
  const source = (name: Name) => createRawSource(folder, `${name}.raw`, disks[name])
  const store = async (name: Name) => {
    const path = await source(name)
    return { path, uuid: await uploadNew(server, path, 'raw') }
  }
  return { server, store }
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('deltas', () => {
  test.each([
    ['vhd', 'compatible'],
    ['qcow2', 'compatible'],
    ['qcow2', 'compact'],
  ] as const)('%s, %s: each of three disks on each', async (format, form) => {
    const { server, store } = await start()
    for (const [name, baseName] of pairs) {
      const [disk, base] = [await store(name), await store(baseName)]
      const more = { base: base.uuid, ...(form === 'compact' ? { delta: form } : {}) }
      const url = exportUrl(server, disk.uuid, format, more)
      const head = await curl(...asRoot, '--head', url)
      const delta = await curl(...asRoot, url)
      await expectStatus(delta, 200)
      expect(delta.headers.get('content-length')).toBe(head.headers.get('content-length'))
      // A compact one names a file that is not there.
      if (form === 'compatible') await expectCleanImage(delta.bodyFile, format)
      await expectStatus(await upload(server, base.uuid, delta.bodyFile, format), 200)
      const { bodyFile } = await download(server, base.uuid, 'raw')
      await expectSameGuest([bodyFile, 'raw'], [disk.path, 'raw'])
    }
  })

  test('a compact QCOW2 delta, rebased by qemu-img onto the base, reads as the disk', async () => {
    const { server, store } = await start()
    const [disk, base] = [await store('scattered'), await store('full')]
    const url = exportUrl(server, disk.uuid, 'qcow2', { base: base.uuid, delta: 'compact' })
    const { bodyFile: delta } = await curl(...asRoot, url)
    const { bodyFile: below } = await download(server, base.uuid, 'qcow2')
    await qemuImg('rebase', '-u', '-b', below, '-F', 'qcow2', delta)
    await expectSameGuest([delta, 'qcow2'], [disk.path, 'raw'])
  })

  test('a disk on itself is an empty delta, and its ETag is its own', async () => {
    const { server, store } = await start()
    const { uuid } = await store('full')
    const whole = await curl(...asRoot, '--head', exportUrl(server, uuid, 'vhd'))
    const delta = await curl(...asRoot, '--head', exportUrl(server, uuid, 'vhd', { base: uuid }))
    expect(Number(delta.headers.get('content-length'))).toBeLessThan(16_384)
    expect(delta.headers.get('etag')).not.toBe(whole.headers.get('etag'))
  })

  test('a base that is not there is 404, a raw delta 400', async () => {
    const { server, store } = await start()
    const { uuid } = await store('empty')
    const unknown = { base: '00000000-0000-4000-8000-000000000000' }
    await expectStatus(await curl(...asRoot, exportUrl(server, uuid, 'vhd', unknown)), 404)
    await expectStatus(await curl(...asRoot, exportUrl(server, uuid, 'raw', { base: uuid })), 400)
  })
})
