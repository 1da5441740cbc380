// Images that no VDI of ours lies in, found in a folder: each is a VDI where it lies, and what is
// written to it, copied or moved lies in a format of ours.

import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FormatName } from '../../src/format-table.ts'
import { formatNames, formatsAtRest, formatTable } from '../../src/format-table.ts'
import { MiB } from '../../src/units.ts'
import { login, type Rpc } from '../support/json-rpc.ts'
import { mergePart } from '../support/layers.ts'
import { shareServer } from '../support/server.ts'
import { convertSource, createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool } from '../support/tools.ts'
import { download, expectStatus, upload } from '../support/transfer.ts'
import { buildVhdx, testDataGuid } from '../support/vhdx-images.ts'

const others = formatNames.filter(
  (name) => !formatsAtRest.includes(name) && formatTable[name].qemuName !== undefined,
)

describe.skipIf(!hasTool('curl') || !hasTool('qemu-img'))('images in a folder', async () => {
  const server = await shareServer()
  const rpc = await login(server)

  const createSr = async (location: string): Promise<string> => {
    const [host] = await rpc<string[]>('host.get_all')
    return rpc('SR.create', host, { location }, '0', 'found', '', 'file', 'user', false, {})
  }
  const expectDisk = async (vdi: string, raw: string): Promise<void> => {
    for (const format of ['raw', 'qcow2'] as const) {
      const { bodyFile } = await download(server, vdi, format)
      await expectSameGuest([bodyFile, format], [raw, 'raw'])
    }
  }

  const findImage = async (format: FormatName) => {
    const raw = await createRawSource(await createTestFolder())
    const image = await convertSource(raw, format)
    const folder = await createTestFolder()
    const vdi = randomUUID()
    await writeFile(join(folder, `${vdi}.${format}`), await readFile(image))
    return { raw, vdi, sr: await createSr(folder), folder }
  }

  test.each(others)('%s: exported, written to, copied and moved', async (format) => {
    const { raw, vdi, folder } = await findImage(format)
    const before = await readFile(join(folder, `${vdi}.${format}`))
    await expectDisk(vdi, raw)
    const snapshot = await uuidOf(rpc, 'VDI.snapshot', `OpaqueRef:${vdi}`, {})
    const patch = await createRawSource(folder, 'patch.raw', {
      parts: [[10 * MiB, 2 * MiB]],
      seed: 5,
    })
    await expectStatus(await upload(server, vdi, await convertSource(patch, 'qcow2'), 'qcow2'), 200)
    const merged = await createRawSource(await createTestFolder())
    await mergePart(merged, patch, 10 * MiB, 2 * MiB)
    await expectDisk(vdi, merged)
    await expectDisk(snapshot, raw)
    const elsewhere = await createSr(await createTestFolder())
    const copy = await uuidOf(rpc, 'VDI.copy', `OpaqueRef:${snapshot}`, elsewhere)
    await expectDisk(copy, raw)
    const moved = await uuidOf(rpc, 'VDI.pool_migrate', `OpaqueRef:${vdi}`, elsewhere, {})
    await expectDisk(moved, merged)
    // What was found is never written to.
    expect((await readFile(join(folder, `${vdi}.${format}`))).equals(before)).toBe(true)
  })

  test('a differencing VHDX lies on the one that it names', async () => {
    const folder = await createTestFolder()
    const [base, top] = [randomUUID(), randomUUID()]
    const whole = buildVhdx({
      size: 3 * MiB,
      blocks: [
        { state: 6, place: 4 },
        { state: 6, place: 5 },
        { state: 6, place: 6 },
      ],
      length: 7,
    })
    whole.fill(7, 4 * MiB)
    await writeFile(join(folder, `${base}.vhdx`), whole)
    const difference = buildVhdx({
      size: 3 * MiB,
      blocks: [{ state: 0 }, { state: 2 }, { state: 7, place: 5, sectors: [1] }],
      bitmapAt: 4,
      parent: { parent_linkage: testDataGuid, relative_path: `.\\${base}.vhdx` },
      length: 6,
    })
    difference.fill(9, 5 * MiB)
    await writeFile(join(folder, `${top}.avhdx`), difference)
    await createSr(folder)
    const expected = Buffer.alloc(3 * MiB, 7)
      .fill(0, MiB, 2 * MiB)
      .fill(9, 2 * MiB + 512, 2 * MiB + 1024)
    const { bodyFile } = await download(server, top, 'raw')
    expect((await readFile(bodyFile)).equals(expected)).toBe(true)
  })
})

const uuidOf = async (rpc: Rpc, method: string, ...args: unknown[]): Promise<string> =>
  (await rpc<string>(method, ...args)).replace('OpaqueRef:', '')
