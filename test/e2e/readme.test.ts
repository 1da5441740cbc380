// The commands of README.md, run as they stand: every ```sh block that calls the server, in order, in
// one shell and one folder, where disk.vhd lies. Host, port and password are put in.

import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/formats/format.ts'
import { rootPassword, startServer } from '../support/server.ts'
import {
  convertSource,
  createRawSource,
  expectCleanImage,
  expectSameGuest,
} from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'

const readBlocks = async (): Promise<string[]> => {
  const text = await readFile(resolve(import.meta.dirname, '../../README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)
  return blocks.filter((block) => block.includes('http://127.0.0.1:8080'))
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

    const blocks = await readBlocks()
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
})
