// Our xe as a process makes, snapshots, reverts and uninstalls a VM on the real server; the disk of
// the VM is the one that was imported.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { shareServer } from '../support/server.ts'
import { createRawSource, expectSameGuest } from '../support/sources.ts'
import { createTestFolder, hasTool, run } from '../support/tools.ts'
import { createXe, xeOptions, xeProgram } from '../support/xe-program.ts'

const server = await shareServer()
const { ask } = createXe(server)

describe.skipIf(!hasTool('qemu-img'))('a VM by xe', () => {
  test('goes back to its snapshot, and is uninstalled after a yes on the standard input', async () => {
    const folder = await createTestFolder()
    const first = await createRawSource(folder, 'first.raw', { size: 4 << 20, parts: [[0, 4096]] })
    const later = await createRawSource(folder, 'later.raw', {
      size: 4 << 20,
      parts: [[65_536, 4096]],
    })
    const vm = await ask('vm-create', 'name-label=web')
    const sr = await ask('sr-list', '--minimal')
    await ask('vm-disk-add', `uuid=${vm}`, 'device=0', 'disk-size=4MiB', `sr-uuid=${sr}`)
    const disk = () => ask('vbd-list', `vm-uuid=${vm}`, 'params=vdi-uuid', '--minimal')
    await ask('vdi-import', `uuid=${await disk()}`, `filename=${first}`)
    const snapshot = await ask('vm-snapshot', 'vm=web', 'new-name-label=before')
    await ask('vdi-import', `uuid=${await disk()}`, `filename=${later}`, 'replace=true')
    await ask('snapshot-revert', `snapshot-uuid=${snapshot}`)
    const out = join(folder, 'out.raw')
    await ask('vdi-export', `uuid=${await disk()}`, `filename=${out}`)
    await expectSameGuest([out, 'raw'], [first, 'raw'])

    const words = [process.execPath, xeProgram, ...xeOptions(server), 'vm-uninstall', 'vm=web']
    const call = words.map((word) => `'${word}'`).join(' ')
    const refused = await run('bash', ['-c', `echo no | ${call}`])
    expect(refused.stdout).toMatch(/Type 'yes' to continue\nAborted \(you typed: 'no'\)\n$/)
    expect(await ask('vm-list', '--minimal')).toBe(vm)
    const done = await run('bash', ['-c', `echo yes | ${call}`])
    expect(done.stdout).toMatch(/^The following items are about[^]*All objects destroyed\n$/)
    expect(await ask('vm-list', '--minimal')).toBe('')
    expect(await ask('snapshot-list', '--minimal')).toBe('')
    expect(await ask('vdi-list', '--minimal')).toBe('')
  })
})
