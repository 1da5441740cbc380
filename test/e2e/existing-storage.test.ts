// Disks that are there already: a folder as XenServer leaves it, read by the real server, compared
// by qemu-img with the chains in it; and what happens when others write there meanwhile.

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  appendFile,
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { MiB } from '../../src/units.ts'
import { curl } from '../support/curl.ts'
import type { Rpc, TaskRecord } from '../support/json-rpc.ts'
import { login } from '../support/json-rpc.ts'
import { rootPassword, startServer, type TestServer } from '../support/server.ts'
import { openDownload, type SlowDownload } from '../support/slow-client.ts'
import { createRawSource, expectCleanImage, expectSameGuest, qemuName } from '../support/sources.ts'
import { hideVhd, listTree, writeVhd } from '../support/sr-folder.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'
import {
  asRoot,
  download,
  expectStatus,
  exportUrl,
  importUrl,
  upload,
} from '../support/transfer.ts'
import { eventually, within } from '../support/wait.ts'

const uuidIn = (path: string): string => /([0-9a-f-]{36})\.\w+$/.exec(path)![1]!

const createQcow2 = async (folder: string, parent: string, format: string): Promise<string> => {
  const path = join(folder, `${randomUUID()}.qcow2`)
  await qemuImg('create', '-q', '-f', 'qcow2', '-F', format, '-b', parent, path)
  return path
}

/** Writes into the guest's disk through a chain: what qemu-io would do, by qemu-img alone. */
const writeGuest = async (path: string, seed: number): Promise<void> => {
  const folder = await createTestFolder()
  const { stdout } = await qemuImg('info', '--output=json', path)
  const size = (JSON.parse(stdout) as { 'virtual-size': number })['virtual-size']
  const changed = await createRawSource(folder, 'changed.raw', {
    size,
    parts: [[MiB, 200_000]],
    seed,
  })
  await qemuImg('rebase', '-q', '-u', '-f', 'qcow2', '-b', '', path)
  await qemuImg('convert', '-n', '-O', 'qcow2', changed, path)
}

/**
 * A hidden VHD under two leaves, a chain of QCOW2 on raw, an .img, and things that are no images.
 */
const createFolder = async () => {
  const folder = await createTestFolder()
  const parent = await writeVhd(folder)
  await hideVhd(parent)
  const a = await writeVhd(folder, {
    parent,
    parts: [
      ['hole', 2 * MiB],
      ['data', 3 * MiB],
      ['hole', 4 * MiB],
    ],
    seed: 2,
  })
  const b = await writeVhd(folder, {
    parent,
    parts: [
      ['data', 700 * 512],
      ['hole', 9 * MiB - 700 * 512],
    ],
    seed: 3,
  })
  const base = await createRawSource(folder, `${randomUUID()}.raw`)
  const middle = await createQcow2(folder, `${uuidIn(base)}.raw`, 'raw')
  await writeGuest(middle, 4)
  await qemuImg(
    'rebase',
    '-q',
    '-u',
    '-f',
    'qcow2',
    '-F',
    'raw',
    '-b',
    `${uuidIn(base)}.raw`,
    middle,
  )
  const top = await createQcow2(folder, `${uuidIn(middle)}.qcow2`, 'qcow2')
  const onVhd = await createQcow2(folder, parent.fileName, 'vpc')
  const img = await createRawSource(folder, `${randomUUID()}.img`, {
    size: MiB,
    parts: [[4096, 8192]],
  })
  return { folder, parent, a, b, base, middle, top, onVhd, img }
}

const addGarbage = async (folder: string): Promise<void> => {
  const outside = await createRawSource(await createTestFolder(), 'outside.raw', {
    size: 4096,
    parts: [],
  })
  await writeFile(join(folder, `${randomUUID()}.qcow2`), Buffer.alloc(5000, 1))
  await symlink(outside, join(folder, `${randomUUID()}.raw`))
  await symlink('/etc', join(folder, `${randomUUID()}.vhd`))
  const outsider = join(folder, `${randomUUID()}.qcow2`)
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
    outsider,
    '1M',
  )
  const sideways = join(folder, `${randomUUID()}.qcow2`)
  await qemuImg(
    'create',
    '-q',
    '-u',
    '-f',
    'qcow2',
    '-F',
    'raw',
    '-b',
    `../${uuidIn(outsider)}.raw`,
    sideways,
    '1M',
  )
  await writeFile(join(folder, 'notes.txt'), 'x')
}

const createSr = async (
  rpc: Rpc,
  location: string,
  more: Record<string, string> = {},
): Promise<string> => {
  const [host] = await rpc<string[]>('host.get_all')
  const config = { location, ...more }
  return rpc('SR.create', host, config, '0', 'existing', '', 'file', 'user', false, {})
}

const vdisOf = async (rpc: Rpc, sr: string): Promise<string[]> =>
  (await rpc<string[]>('SR.get_VDIs', sr)).map((ref) => ref.replace('OpaqueRef:', '')).toSorted()

const start = async () => {
  const server = await startServer()
  return { server, rpc: await login(server) }
}

/** Each VDI in each format, compared with the file and all below it. */
const expectExports = async (
  server: TestServer,
  files: readonly (readonly [path: string, format: 'raw' | 'vhd' | 'qcow2'])[],
) => {
  for (const [path, format] of files) {
    for (const wanted of formatNames) {
      const { bodyFile } = await download(server, uuidIn(path), wanted)
      await expectCleanImage(bodyFile, wanted)
      await expectSameGuest([bodyFile, wanted], [path, format])
    }
  }
}

/** The length and not the bytes: a report of megabytes that came after all would take for ever. */
const expectBroken = (download: SlowDownload): Promise<void> =>
  expect(download.rest().then((rest) => rest.length)).rejects.toThrow('aborted')

describe.skipIf(!hasTool('qemu-img') || !hasTool('curl'))('existing storage', () => {
  test('a read-only folder: each disk in each format and deltas, and not a byte is written', async () => {
    const { server, rpc } = await start()
    const { folder, parent, a, b, base, middle, top, onVhd, img } = await createFolder()
    await addGarbage(folder)
    await chmod(folder, 0o555)
    onTestFinished(() => chmod(folder, 0o755))
    const before = await listTree(folder)

    const sr = await createSr(rpc, folder, { 'read-only': 'true' })
    const expected = [a.path, b.path, top, onVhd, img].map(uuidIn)
    expect(await vdisOf(rpc, sr)).toEqual(expected.toSorted())
    const { 'scan-problems': problems } = await rpc<{ 'scan-problems': string }>(
      'SR.get_sm_config',
      sr,
    )
    expect(problems.split('\n')).toHaveLength(5)
    expect(problems).toContain('its parent is called "/etc/passwd"')
    expect(problems).toContain('links are not followed')

    // qemu-img reads no VHD that lies on another: those are compared by what is in them.
    await expectExports(server, [
      [top, 'qcow2'],
      [img, 'raw'],
    ])
    for (const { uuid, seed, from, to } of [
      { uuid: a.uuid, seed: 2, from: 2 * MiB, to: 5 * MiB },
      { uuid: b.uuid, seed: 3, from: 0, to: 700 * 512 },
    ]) {
      const guest = join(await createTestFolder(), 'guest.raw')
      await createRawSource(join(guest, '..'), 'guest.raw', {
        size: 9 * MiB,
        parts: [[0, 3 * MiB]],
        seed: 1,
      })
      const upper = await createRawSource(join(guest, '..'), 'upper.raw', {
        size: 9 * MiB,
        parts: [[from, to - from]],
        seed,
      })
      await run('dd', [
        `if=${upper}`,
        `of=${guest}`,
        'conv=notrunc',
        'bs=512',
        `skip=${from / 512}`,
        `seek=${from / 512}`,
        `count=${(to - from) / 512}`,
      ])
      for (const wanted of formatNames) {
        const { bodyFile } = await download(server, uuid, wanted)
        await expectSameGuest([bodyFile, wanted], [guest, 'raw'])
      }
    }
    const { bodyFile } = await download(server, uuidIn(onVhd), 'raw')
    await expectSameGuest([bodyFile, 'raw'], [parent.path, 'vhd'])

    // A delta of two leaves of one parent holds what they do not share.
    const delta = await curl(...asRoot, exportUrl(server, a.uuid, 'vhd', { base: b.uuid }))
    await expectStatus(delta, 200)
    expect(Number(delta.headers.get('content-length'))).toBeLessThan(9 * MiB)
    const range = await curl(...asRoot, '-r', '1000-1999', exportUrl(server, a.uuid, 'qcow2'))
    expect([range.status, range.downloaded]).toEqual([206, 1000])

    for (const answer of [
      await upload(server, a.uuid, img, 'raw'),
      await curl(...asRoot, '-T', img, importUrl(server, { sr_uuid: sr, format: 'raw' })),
    ]) {
      await expectStatus(answer, 409)
      expect(await answer.text()).toContain('SR_OPERATION_NOT_SUPPORTED')
    }
    await expect(rpc('VDI.destroy', a.uuid)).rejects.toMatchObject({
      code: 'SR_OPERATION_NOT_SUPPORTED',
    })
    await rpc('SR.scan', sr)
    expect(await listTree(folder)).toEqual(before)
    expect([base, middle].map(uuidIn).some((uuid) => expected.includes(uuid))).toBe(false)
  })

  test('a restart keeps VDIs and tags; forgetting and making it again finds the same', async () => {
    const { server, rpc } = await start()
    const { folder, top } = await createFolder()
    const sr = await createSr(rpc, folder, { 'read-only': 'true' })
    const vdis = await vdisOf(rpc, sr)
    const tagOf = async (on: TestServer) =>
      (await curl(...asRoot, '--head', exportUrl(on, uuidIn(top), 'vhd'))).headers.get('etag')
    const tag = await tagOf(server)
    expect(await server.stop()).toBe(0)
    const again = await startServer({ dataFolder: server.dataFolder })
    const rpcAgain = await login(again)
    expect(await vdisOf(rpcAgain, sr)).toEqual(vdis)
    expect(await tagOf(again)).toBe(tag)
    await expectExports(again, [[top, 'qcow2']])
    await rpcAgain('SR.forget', sr)
    expect(await rpcAgain<string[]>('VDI.get_all')).toEqual([])
    await expectStatus(await curl(...asRoot, '--head', exportUrl(again, uuidIn(top), 'vhd')), 404)
    expect(await vdisOf(rpcAgain, await createSr(rpcAgain, folder))).toEqual(vdis)
    await expectExports(again, [[top, 'qcow2']])
  })

  test('a writable folder: imports go beside what is there, and a scan leaves them alone', async () => {
    const { server, rpc } = await start()
    const { folder, top, a, img } = await createFolder()
    const sr = await createSr(rpc, folder)
    const vdis = await vdisOf(rpc, sr)
    const source = await createRawSource(await createTestFolder(), 'delta.raw', {
      size: 9 * MiB,
      parts: [[MiB, MiB]],
      seed: 7,
    })
    // Delta images, so that the rest of each disk stays.
    const overlay = join(await createTestFolder(), 'overlay.qcow2')
    await qemuImg(
      'create',
      '-q',
      '-u',
      '-f',
      'qcow2',
      '-F',
      'raw',
      '-b',
      'base',
      overlay,
      `${9 * MiB}`,
    )
    const before = await readFile((await download(server, a.uuid, 'raw')).bodyFile)
    await expectStatus(await upload(server, a.uuid, overlay, 'qcow2'), 200)
    expect((await readFile((await download(server, a.uuid, 'raw')).bodyFile)).equals(before)).toBe(
      true,
    )
    await expectStatus(await upload(server, uuidIn(top), overlay, 'qcow2'), 200)
    await expectStatus(await upload(server, uuidIn(img), img, 'raw'), 200)
    const added = await curl(
      ...asRoot,
      '-T',
      source,
      importUrl(server, { sr_uuid: sr, format: 'raw' }),
    )
    const own = (await added.text()).trim()
    await rpc('SR.scan', sr)
    expect(await vdisOf(rpc, sr)).toEqual([...vdis, own].toSorted())
    // What an import replaced is not diskport's to delete.
    expect(await rpc('SR.get_sm_config', sr)).toEqual({
      'scan-problems': `${basename(img)}: the VDI ${uuidIn(img)} was written anew and no longer needs it`,
    })
    // The layer on the VHD says of its parent what XenServer's tools want to read.
    const files = (await readdir(folder)).filter(
      (name) => name.endsWith('.vhd') && !name.startsWith(a.uuid),
    )
    const children = await Promise.all(
      files.map(
        async (name) =>
          [
            name,
            (await readFile(join(folder, name))).includes(Buffer.from(`file://./${a.fileName}`)),
          ] as const,
      ),
    )
    const [child] = children.find(([, isOnA]) => isOnA)!
    const header = (await readFile(join(folder, child))).subarray(512, 1536)
    expect(header.toString('hex', 40, 56)).toBe(a.imageUuid.replaceAll('-', ''))
    // All of it opens elsewhere, too.
    await rpc('SR.forget', sr)
    const sr2 = await createSr(rpc, folder, { 'read-only': 'true' })
    expect(await rpc('SR.get_sm_config', sr2)).toEqual({})
    const found = await vdisOf(rpc, sr2)
    const childNow = await readFile((await download(server, uuidIn(child), 'raw')).bodyFile)
    expect(found).toContain(uuidIn(child))
    expect(childNow.equals(before)).toBe(true)
  })

  test('VDI.destroy in a writable folder removes the files that nobody needs', async () => {
    const { rpc } = await start()
    const { folder, parent, a, b, onVhd } = await createFolder()
    await createSr(rpc, folder)
    const there = async () => new Set(await readdir(folder))
    for (const leaf of [a.path, b.path]) await rpc('VDI.destroy', uuidIn(leaf))
    await eventually('the leaves to go', async () => {
      const names = await there()
      return names.has(a.fileName) || names.has(b.fileName) ? undefined : true
    })
    expect(await there()).toContain(parent.fileName)
    await rpc('VDI.destroy', uuidIn(onVhd))
    await eventually('the parent to go', async () =>
      (await there()).has(parent.fileName) ? undefined : true,
    )
  })

  test('a leaf that is written between HEAD and GET has another tag and its new content', async () => {
    const { server, rpc } = await start()
    const folder = await createTestFolder()
    const path = await createRawSource(folder, `${randomUUID()}.raw`)
    await createSr(rpc, folder, { 'read-only': 'true' })
    const url = exportUrl(server, uuidIn(path), 'vhd')
    const head = await curl(...asRoot, '--head', url)
    const same = await curl(...asRoot, '--head', url)
    expect(same.headers.get('etag')).toBe(head.headers.get('etag'))
    await using file = await open(path, 'r+')
    await file.write(Buffer.alloc(512, 9), 0, 512, 10 * MiB)
    await file.sync()
    const tag = head.headers.get('etag')!
    const get = await curl(...asRoot, '-r', '0-511', '-H', `If-Range: ${tag}`, url)
    await expectStatus(get, 200)
    expect(get.headers.get('etag')).not.toBe(tag)
    await expectSameGuest([get.bodyFile, 'vhd'], [path, 'raw'])
  })

  test('a leaf that is written during a download breaks it, and the task says what has changed', async () => {
    const { server, rpc } = await start()
    const folder = await createTestFolder()
    const size = 96 * MiB
    const path = await createRawSource(folder, `${randomUUID()}.raw`, { size, parts: [[0, size]] })
    await createSr(rpc, folder, { 'read-only': 'true' })
    const task = await rpc<string>('task.create', 'export', '')
    const download = await openDownload(exportUrl(server, uuidIn(path), 'raw', { task_id: task }))
    expect([download.status, download.length]).toEqual([200, size])
    await download.read(MiB)
    await using file = await open(path, 'r+')
    await file.write(Buffer.alloc(512, 9), 0, 512, size - 4096)
    await expectBroken(download)
    const record = await eventually('the task to end', async () => {
      const found = await rpc<TaskRecord>('task.get_record', task)
      return found.status === 'pending' ? undefined : found
    })
    expect(record.status).toBe('failure')
    expect(record.error_info[0]).toBe('VDI_IO_ERROR')
    expect(record.error_info[1]).toMatch(
      new RegExp(`${uuidIn(path)}.raw was changed by somebody else: it was last written at`),
    )
    await expectExports(server, [[path, 'raw']])
  })

  test('a small download that is nearly done when the leaf is written never ends whole', async () => {
    const { server, rpc } = await start()
    const folder = await createTestFolder()
    const size = 24 * MiB
    const path = await createRawSource(folder, `${randomUUID()}.raw`, { size, parts: [[0, size]] })
    await createSr(rpc, folder, { 'read-only': 'true' })
    const download = await openDownload(exportUrl(server, uuidIn(path), 'raw'))
    await download.read(MiB)
    await appendFile(path, Buffer.alloc(512))
    await expectBroken(download)
    const change = 'its size was 25165824 bytes and is 25166336'
    await eventually(
      'the log to say why',
      async () => server.output().includes(change) || undefined,
    )
  })

  test('a folder that is away at start: the server starts, says so, and a scan brings it back', async () => {
    const { server, rpc } = await start()
    const place = await createTestFolder()
    const folder = join(place, 'mount')
    await mkdir(folder)
    const path = await createRawSource(folder, `${randomUUID()}.raw`)
    const sr = await createSr(rpc, folder)
    const readOnly = join(place, 'read-only')
    await mkdir(readOnly)
    const sr2 = await createSr(rpc, readOnly, { 'read-only': 'true' })
    expect(await server.stop()).toBe(0)
    await rename(folder, join(place, 'away'))
    // A bare mount point: there is a folder, and nothing in it.
    await mkdir(folder)
    await rename(readOnly, join(place, 'away-too'))
    const again = await startServer({ dataFolder: server.dataFolder })
    const rpcAgain = await login(again)
    expect(again.output()).toContain('its file system is not mounted')
    expect(again.output()).toContain(`the folder ${readOnly} cannot be read: ENOENT`)
    expect(await readdir(folder)).toEqual([])
    const url = exportUrl(again, uuidIn(path), 'raw')
    const refused = await curl(...asRoot, url)
    await expectStatus(refused, 503)
    expect(await refused.text()).toContain('SR_NOT_ATTACHED')
    await expectStatus(
      await upload(again, uuidIn(path), join(place, 'away', basename(path)), 'raw'),
      503,
    )
    for (const ref of [sr, sr2]) {
      const [pbd] = await rpcAgain<string[]>('SR.get_PBDs', ref)
      expect(await rpcAgain('PBD.get_currently_attached', pbd)).toBe(false)
      await expect(rpcAgain('SR.scan', ref)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
    }
    await run('rmdir', [folder])
    await rename(join(place, 'away'), folder)
    await rename(join(place, 'away-too'), readOnly)
    for (const ref of [sr, sr2]) await rpcAgain('SR.scan', ref)
    await expectExports(again, [[path, 'raw']])

    // Gone while the server runs.
    await rename(folder, join(place, 'away'))
    await expectStatus(await curl(...asRoot, url), 503)
    expect(await rpcAgain('SR.get_physical_size', sr)).toBe(0)
    await expect(rpcAgain('SR.scan', sr)).rejects.toMatchObject({ code: 'SR_NOT_ATTACHED' })
    const [pbd] = await rpcAgain<string[]>('SR.get_PBDs', sr)
    expect(await rpcAgain('PBD.get_currently_attached', pbd)).toBe(false)
    expect(await rpcAgain('VDI.get_missing', uuidIn(path))).toBe(false)
    await rename(join(place, 'away'), folder)
    await rpcAgain('SR.scan', sr)
    await expectExports(again, [[path, 'raw']])
  })

  test('an empty VDI of a folder, and a folder in the data folder', async () => {
    const { server, rpc } = await start()
    const [host] = await rpc<string[]>('host.get_all')
    const sr = await rpc<string>('SR.create', host, {}, '0', 'second', '', 'file', '', false, {})
    const source = await createRawSource(await createTestFolder())
    const added = await curl(
      ...asRoot,
      '-T',
      source,
      importUrl(server, { sr_uuid: sr, format: 'raw' }),
    )
    await expectStatus(added, 200)
    const uuid = (await added.text()).trim()
    expect(await readdir(join(server.dataFolder, 'sr', sr.replace('OpaqueRef:', '')))).toContain(
      'staging',
    )
    await rpc('VDI.destroy', uuid)
    await rpc('SR.destroy', sr)
    expect(await readdir(join(server.dataFolder, 'sr'))).toHaveLength(1)
  })

  test('with xe: made, listed, scanned, introduced, forgotten', async () => {
    const { server } = await start()
    const folder = await createTestFolder()
    const path = await createRawSource(folder, `${randomUUID()}.img`, { size: MiB, parts: [] })
    const xe = (...args: string[]): Promise<string> =>
      new Promise((resolvePromise, reject) => {
        const program = resolve(import.meta.dirname, '../../src/cli/xe.ts')
        const all = [
          program,
          '-s',
          server.host,
          '-p',
          String(server.port),
          '-u',
          'root',
          '-pw',
          rootPassword,
          ...args,
        ]
        execFile(process.execPath, all, { timeout: 60_000 }, (error, out, err) =>
          error === null ? resolvePromise(out.trim()) : reject(new Error(err)),
        )
      })
    const sr = await xe(
      'sr-create',
      'name-label=old',
      'type=file',
      `device-config:location=${folder}`,
      'device-config:read-only=true',
    )
    expect(await xe('pbd-list', `sr-uuid=${sr}`)).toMatch(
      new RegExp(`device-config \\(MRO\\): .*location: ${folder}`),
    )
    expect(await xe('vdi-list', `sr-uuid=${sr}`, '--minimal')).toBe(uuidIn(path))
    const bad = `${randomUUID()}.vhd`
    await writeFile(join(folder, bad), 'no disk')
    expect(await xe('sr-scan', `uuid=${sr}`)).toMatch(new RegExp(`^${bad}: Cannot .*vhd: `))
    await xe('vdi-forget', `uuid=${uuidIn(path)}`)
    const other = randomUUID()
    expect(
      await xe(
        'vdi-introduce',
        `uuid=${other}`,
        `sr-uuid=${sr}`,
        'type=user',
        `location=${uuidIn(path)}.img`,
      ),
    ).toBe(other)
    await expect(xe('sr-destroy', `uuid=${sr}`)).rejects.toThrow('read-only')
    await expect(xe('sr-create', 'name-label=x', 'type=nfs')).rejects.toThrow(
      'There is no storage manager of the type nfs',
    )
    await xe('sr-forget', `uuid=${sr}`)
    expect(await xe('pbd-list', `sr-uuid=${sr}`)).toBe('')
    await within('qemu-img', qemuImg('info', '-f', qemuName('raw'), path))
  })
})
