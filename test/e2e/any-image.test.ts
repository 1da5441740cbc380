// A folder of images from everywhere, wrapped or not, uploaded by one loop of the shell as they
// are; each comes back equal, in every format.

import { copyFile, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatNames } from '../../src/format-table.ts'
import { ovfOf, tarOf, xvaObjects, xvaOf } from '../support/archives.ts'
import { packTar, unpackTar } from '../support/block-tars.ts'
import { expectSameBytes } from '../support/disks.ts'
import { rootPassword, startServer } from '../support/server.ts'
import { createRawSource, qemuName } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { download } from '../support/transfer.ts'

const MiB = 1 << 20
const size = 9 * MiB

/** By their names in the folder: QEMU's name of the format, and what `convert` is told. */
const converted: Readonly<Record<string, readonly [driver: string, ...options: string[]]>> = {
  'plain.qcow2': ['qcow2'],
  'old.qcow2': ['qcow2', '-o', 'compat=0.10'],
  'zlib.qcow2': ['qcow2', '-c'],
  'zstd.qcow2': ['qcow2', '-c', '-o', 'compression_type=zstd'],
  'subclusters.qcow2': ['qcow2', '-o', 'extended_l2=on,cluster_size=128k'],
  'preallocated.qcow2': ['qcow2', '-o', 'preallocation=metadata,lazy_refcounts=on'],
  'small-clusters.qcow2': ['qcow2', '-o', 'cluster_size=512'],
  'dynamic.vhd': ['vpc', '-o', 'force_size=on'],
  'fixed.vhd': ['vpc', '-o', 'subformat=fixed,force_size=on'],
  'dynamic.vhdx': ['vhdx'],
  'fixed.vhdx': ['vhdx', '-o', 'subformat=fixed,block_size=1M'],
  'sparse.vmdk': ['vmdk'],
  'stream.vmdk': ['vmdk', '-o', 'subformat=streamOptimized'],
  'dynamic.vdi': ['vdi'],
  'fixed.vdi': ['vdi', '-o', 'static=on'],
}

const wrapped: Readonly<Record<string, readonly [tool: string, ...args: string[]]>> = {
  'raw.img.gz': ['gzip'],
  'raw.img.xz': ['xz'],
  'raw.img.bz2': ['bzip2'],
  'raw.img.zst': ['zstd', '-q'],
}

/** @returns the raw disk that all of them hold */
const fillFolder = async (folder: string): Promise<string> => {
  const aside = await createTestFolder()
  const parts = [
    [MiB, 2 * MiB],
    [5 * MiB + 512, 3000],
    [size - 512, 512],
  ] as const
  const raw = await createRawSource(aside, 'disk.raw', { size, parts })
  for (const [name, [driver, ...options]] of Object.entries(converted)) {
    const target = join(folder, name)
    await run('qemu-img', ['convert', '-f', 'raw', '-O', driver, ...options, raw, target])
  }
  await copyFile(raw, join(folder, 'raw.img'))
  for (const [name, [tool, ...args]] of Object.entries(wrapped)) {
    const [copy, ending] = [join(aside, 'raw.img'), name.slice(name.lastIndexOf('.'))]
    await copyFile(raw, copy)
    await run(tool, [...args, copy])
    await rename(`${copy}${ending}`, join(folder, name))
  }
  await copyFile(join(folder, 'stream.vmdk'), join(aside, 'again.vmdk'))
  await run('xz', [join(aside, 'again.vmdk')])
  await rename(join(aside, 'again.vmdk.xz'), join(folder, 'stream.vmdk.xz'))
  await packTar(raw, join(folder, 'xenserver.tar'))
  const content = await readFile(raw)
  const vmdk = { name: 'd.vmdk', content: await readFile(join(folder, 'stream.vmdk')) }
  const ovf = ovfOf([{ id: 'd', href: vmdk.name, capacity: size }])
  await writeFile(
    join(folder, 'appliance.ova'),
    tarOf({ name: 'a.ovf', content: Buffer.from(ovf) }, vmdk),
  )
  await writeFile(
    join(folder, 'vm.xva'),
    xvaOf(xvaObjects({ 'Ref:2': size }), { 'Ref:2': content }),
  )
  return raw
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('a folder of images', () => {
  test('is uploaded by one loop, and each comes back equal', { timeout: 120_000 }, async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const content = await readFile(await fillFolder(folder))
    const url = `${server.url}/import_raw_vdi?sr_uuid=default&format=auto`
    const loop = `cd '${folder}'; for f in *; do echo "$f" $(curl -sSfu 'root:${rootPassword}' -T "$f" '${url}'); done`
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', loop])
    const uploaded = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
    expect(uploaded).toHaveLength(Object.keys(converted).length + Object.keys(wrapped).length + 5)
    for (const [name = '', vdi = ''] of uploaded) {
      const { bodyFile } = await download(server, vdi, 'raw')
      expectSameBytes(await readFile(bodyFile), content, name)
    }
    for (const format of formatNames) {
      const { bodyFile } = await download(server, uploaded[0]![1]!, format)
      const raw = `${bodyFile}.raw`
      if (format === 'tar') await unpackTar(bodyFile, raw)
      else await run('qemu-img', ['convert', '-f', qemuName(format), '-O', 'raw', bodyFile, raw])
      expectSameBytes(await readFile(raw), content, `as ${format}`)
    }
  })
})
