// The commands of the documentation, run as they stand: all ```sh blocks of a file in order, in one
// shell and one folder, against a server of their own. Host, port and password are put in.

import { readdirSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { tarOf } from '../support/archives.ts'
import { createDisks, ovf } from '../support/machine-archives.ts'
import { codeBlocksOf, markdownFiles } from '../support/markdown.ts'
import { rootPassword, startServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { xeProgram } from '../support/xe-program.ts'

/** Runs the commands of a file in `folder`; `/mnt/sr` becomes a folder beside it. */
const runCommands = async (file: string, folder: string, mounted = '/mnt/sr') => {
  const server = await startServer()
  const script = codeBlocksOf(file)
    .filter(({ language }) => language === 'sh')
    .map(({ text }) => text)
    .join('\n')
    .replaceAll('127.0.0.1:8080', `${server.host}:${server.port}`)
    .replaceAll('server=127.0.0.1,port=8080', `server=${server.host},port=${server.port}`)
    .replaceAll('password=pw', `password=${rootPassword}`)
    .replaceAll('root:pw', `root:${rootPassword}`)
    .replaceAll('"pw"', `"${rootPassword}"`)
    .replaceAll('/mnt/sr', mounted)
  const xe = `xe() { '${process.execPath}' '${xeProgram}' "$@"; }`
  const path = join(await createTestFolder(), 'commands.sh')
  await writeFile(path, `cd '${folder}'\n${xe}\n${script}`)
  return run('bash', ['-euo', 'pipefail', path])
}

/** Puts disk.vhd into `folder`; the path of a raw file with the same content, elsewhere. */
const createSource = async (folder: string): Promise<string> => {
  const options = { size: 24 << 20, parts: [[3 << 20, 5 << 20]] } as const
  const raw = await createRawSource(await createTestFolder(), 'disk.raw', options)
  const vhd = await convertSource(raw, 'vhd', '-o', 'force_size=on')
  await rename(vhd, join(folder, 'disk.vhd'))
  return raw
}

/** All but the list of them. */
const movingPages = readdirSync('docs/moving').filter((name) => name !== 'README.md')

const formatOf = (name: string): FormatName => name.slice(name.lastIndexOf('.') + 1) as FormatName

/** The images in the folder, whole ones, hold the same disk as the source. */
const expectSameDisks = async (folder: string, source: string, names: readonly string[]) => {
  const images = (await readdir(folder)).filter((name) => /\.(?:raw|vhd|qcow2)$/.test(name))
  expect(images.toSorted()).toEqual([...names].toSorted())
  for (const name of images.filter((image) => image !== 'delta.vhd')) {
    await expectSameGuest([join(folder, name), formatOf(name)], [source, 'raw'])
    await expectCleanImage(join(folder, name), formatOf(name))
  }
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('the commands of', () => {
  test('README.md work, and what they download is the disk that they uploaded', async () => {
    const folder = await createTestFolder()
    const source = await createSource(folder)
    await runCommands('README.md', folder)
    await expectSameDisks(folder, source, ['delta.vhd', 'disk.qcow2', 'disk.vhd', 'out.vhd'])
    expect((await stat(join(folder, 'delta.vhd'))).size).toBeLessThan(1 << 20)
  })

  test('docs/http-api.md work, and what they download is the disk that they uploaded', async () => {
    const folder = await createTestFolder()
    const source = await createSource(folder)
    await runCommands('docs/http-api.md', folder)
    await expectSameDisks(folder, source, [
      'disk.qcow2',
      'disk.raw',
      'disk.vhd',
      'new.qcow2',
      'small.qcow2',
    ])
  })

  test.each(movingPages)('docs/moving/%s work, and what comes out is the disk', async (page) => {
    const folder = await createTestFolder()
    const source = await createSource(folder)
    await runCommands(join('docs/moving', page), folder)
    const images = (await readdir(folder)).filter((name) => name.startsWith('out'))
    expect(images.length).toBeGreaterThan(0)
    for (const name of images) {
      await expectSameGuest([join(folder, name), formatOf(name)], [source, 'raw'])
      await expectCleanImage(join(folder, name), formatOf(name))
    }
  })

  test('docs/machines.md bring a VM in, out, and in again', async () => {
    const folder = await createTestFolder()
    const { images } = await createDisks(folder)
    await writeFile(join(folder, 'appliance.ova'), tarOf(ovf, ...images))
    const { stdout } = await runCommands('docs/machines.md', folder)
    expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/)
    const { stdout: listed } = await run('tar', ['-tf', join(folder, 'machine.ova')])
    expect(listed).toBe('web.ovf\nweb-disk1.vmdk\nweb-disk2.vmdk\n')
  })

  test('docs/xenapi.md bring in full.vhd, bring out the same disk, and show the formats', async () => {
    const folder = await createTestFolder()
    const parts = [
      [0, 3 << 20],
      [10 * 2 ** 30 - 4096, 4096],
    ] as const
    const options = { size: 10 * 2 ** 30, parts }
    const raw = await createRawSource(await createTestFolder(), 'full.raw', options)
    await rename(await convertSource(raw, 'vhd', '-o', 'force_size=on'), join(folder, 'full.vhd'))
    const { stdout, stderr } = await runCommands('docs/xenapi.md', folder)
    expect(stdout).toMatch(/^ +supported-image-formats \( RO\): .*\bqcow2\b/m)
    expect(stderr.match(/\(100% ETA 00:00:00\) *\nTotal time: /g)).toHaveLength(4)
    await expectSameDisks(folder, raw, ['delta.vhd', 'full.vhd', 'out.qcow2', 'snapshot.vhd'])
  })

  test('docs/existing-storage.md make a disk of an image that is there', async () => {
    const mounted = await createTestFolder()
    const images = join(mounted, 'images')
    await mkdir(images)
    await createSource(images)
    const uuid = 'a8d1ba0c-2ba0-4d0f-9d5f-5b6c7f0c5f1e'
    await rename(join(images, 'disk.vhd'), join(images, `${uuid}.vhd`))
    const before = await readFile(join(images, `${uuid}.vhd`))
    const { stdout } = await runCommands('docs/existing-storage.md', mounted, images)
    expect(stdout).toContain(`uuid ( RO)                : ${uuid}`)
    expect(await readdir(images)).toEqual([`${uuid}.vhd`])
    expect((await readFile(join(images, `${uuid}.vhd`))).equals(before)).toBe(true)
  })
})

describe('the blocks of the documentation', () => {
  const user = ['README.md', ...markdownFiles().filter((file) => file.startsWith('docs/'))]

  test('are run, or install or start something', () => {
    const others = user.flatMap((file) =>
      codeBlocksOf(file)
        .filter(({ language }) => language !== 'sh' && language !== 'text')
        .flatMap(({ text }) => text.trimEnd().split('\n'))
        .filter((line) => !/^(?:npm (?:ci|install|run)|docker (?:build|run)) /.test(line))
        .map((line) => `${file}: ${line}`),
    )
    expect(others).toEqual([])
  })

  test('that are run are in the files that are tested here', () => {
    const tested = [
      'README.md',
      'docs/existing-storage.md',
      'docs/http-api.md',
      'docs/machines.md',
      'docs/xenapi.md',
    ]
    const withCommands = user.filter((file) =>
      codeBlocksOf(file).some(({ language }) => language === 'sh'),
    )
    expect(withCommands.toSorted()).toEqual(tested)
  })
})
