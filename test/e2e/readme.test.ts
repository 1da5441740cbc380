// The commands of README.md, run as they stand: every ```sh block that calls the server, in order,
// in one shell and one folder, where disk.vhd lies, and the one of xe in another. Host, port and
// password are put in.

import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { rootPassword, startServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'

/** @param word that stands in the blocks which are wanted */
const readBlocks = async (word: string): Promise<string[]> => {
  const text = await readFile(resolve(import.meta.dirname, '../../README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)
  return blocks.filter((block) => block.includes(word))
}

/** Puts disk.vhd into `folder`; the path of a raw file with the same content, elsewhere. */
const createSource = async (folder: string): Promise<string> => {
  const options = { size: 24 << 20, parts: [[3 << 20, 5 << 20]] } as const
  const raw = await createRawSource(await createTestFolder(), 'disk.raw', options)
  const vhd = await convertSource(raw, 'vhd', '-o', 'force_size=on')
  await rename(vhd, join(folder, 'disk.vhd'))
  return raw
}

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('README.md', () => {
  test('its commands work, and what they download is the disk that they uploaded', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const source = await createSource(folder)

    const blocks = await readBlocks('http://127.0.0.1:8080')
    expect(blocks.join('')).toContain('/import_raw_vdi')
    expect(blocks.join('')).toContain('/export_raw_vdi')
    const script = blocks
      .join('\n')
      .replaceAll('127.0.0.1:8080', `${server.host}:${server.port}`)
      .replaceAll('root:pw', `root:${rootPassword}`)
      .replaceAll('"pw"', `"${rootPassword}"`)
    await writeFile(join(folder, 'commands.sh'), `cd '${folder}'\n${script}`)
    await run('bash', ['-euo', 'pipefail', join(folder, 'commands.sh')])

    const images = (await readdir(folder)).filter((name) => /\.(raw|vhd|qcow2)$/.test(name))
    expect(images.length).toBeGreaterThan(1)
    for (const name of images) {
      const format = name.slice(name.lastIndexOf('.') + 1) as FormatName
      await expectSameGuest([join(folder, name), format], [source, 'raw'])
      await expectCleanImage(join(folder, name), format)
    }
  })

  test('xe brings in full.vhd, brings out the same disk, and shows the formats', async () => {
    const server = await startServer()
    const folder = await createTestFolder()
    const parts = [
      [0, 3 << 20],
      [10 * 2 ** 30 - 4096, 4096],
    ] as const
    const raw = await createRawSource(folder, 'full.raw', { size: 10 * 2 ** 30, parts })
    await convertSource(raw, 'vhd', '-o', 'force_size=on')
    const [block] = await readBlocks('xe sr-list')
    const place = `server=${server.host},port=${server.port},username=root,password=${rootPassword}`
    const script = block!.replace(/(?<=XE_EXTRA_ARGS=).*/, place)
    expect(script).toContain(place)
    const xe = `xe() { '${process.execPath}' '${resolve(import.meta.dirname, '../../src/cli/xe.ts')}' "$@"; }`
    await writeFile(join(folder, 'commands.sh'), `cd '${folder}'\n${xe}\n${script}`)
    const { stdout, stderr } = await run('bash', ['-euo', 'pipefail', join(folder, 'commands.sh')])
    expect(stdout).toMatch(/^ +supported-image-formats \( RO\): .*\bqcow2\b/m)
    expect(stderr.match(/\(100% ETA 00:00:00\) *\nTotal time: /g)).toHaveLength(2)
    await expectSameGuest([join(folder, 'out.qcow2'), 'qcow2'], [join(folder, 'full.vhd'), 'vhd'])
    await expectSameGuest([join(folder, 'out.qcow2'), 'qcow2'], [raw, 'raw'])
  })
})
