// Where a storage repository may be made, and by whom; and where the data folder may be.

import { mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FolderRequest } from '../../../../src/store/files/check-folder.ts'
import { requireFreeFolder } from '../../../../src/store/files/check-folder.ts'
import { makeDataFolder, makeFolder } from '../../../../src/store/files/data-folder.ts'
import {
  parseMountInfo,
  specialFileSystemOf,
} from '../../../../src/store/files/special-file-systems.ts'
import { createTestFolder } from '../../../support/tools.ts'

const request = (location: string, roots: FolderRequest['roots'] = 'anywhere'): FolderRequest => ({
  location,
  readOnly: true,
  roots,
  taken: [],
})

const isLinux = process.platform === 'linux'

describe.skipIf(!isLinux)('special file systems', () => {
  test.each([
    ['/proc', 'proc'],
    ['/proc/self', 'proc'],
    ['/proc/sys/kernel', 'proc'],
    ['/sys', 'sysfs'],
    ['/sys/kernel', 'sysfs'],
    ['/dev', ''],
  ])('%s is one, for whoever asks', async (location, type) => {
    await expect(requireFreeFolder(request(location))).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      message: expect.stringMatching(`it lies on a special file system \\(.*${type}.*\\)`),
    })
  })

  test('a link to one is one', async () => {
    const link = join(await createTestFolder(), 'link')
    await symlink('/proc', link)
    await expect(requireFreeFolder(request(link))).rejects.toThrow('special file system (proc)')
    await expect(makeDataFolder(join(link, 'data'))).rejects.toThrow('special file system (proc)')
  })

  test('what is mounted below /dev is none, below /proc and /sys it is', async () => {
    expect(await specialFileSystemOf('/dev/shm/images')).toBeUndefined()
    expect(await specialFileSystemOf('/sys/fs/cgroup')).toBeDefined()
    expect(await specialFileSystemOf('/etc')).toBeUndefined()
  })

  test('mount points with blanks are read', () => {
    const line = '36 35 98:0 / /mnt/a\\040b rw,noatime shared:1 master:2 - ext4 /dev/root rw'
    expect(parseMountInfo(`${line}\n`)).toEqual([{ point: '/mnt/a b', type: 'ext4' }])
  })
})

describe('the folders of --sr-root', () => {
  test('without one, only a pool-admin may name a folder', async () => {
    const folder = await createTestFolder()
    expect(await requireFreeFolder(request(folder))).toBe(folder)
    await expect(requireFreeFolder(request(folder, []))).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      params: ['device_config:location', folder, expect.stringContaining('without --sr-root DIR')],
    })
  })

  test('hold what others may name: themselves, and what lies in them when links are resolved', async () => {
    const [root, other, outside] = [
      await createTestFolder(),
      await createTestFolder(),
      await createTestFolder(),
    ]
    const inside = join(other, 'a', 'b')
    await mkdir(inside, { recursive: true })
    await symlink(outside, join(root, 'out'))
    await symlink(root, join(outside, 'in'))
    await mkdir(`${root}-beside`)
    const roots = [join(outside, 'in'), other]
    for (const [location, path] of [
      [root, root],
      [inside, inside],
      [join(outside, 'in'), root],
      [`${inside}/../../a`, join(other, 'a')],
    ] as const) {
      expect(await requireFreeFolder(request(location, roots))).toBe(path)
    }
    for (const location of [
      outside,
      join(root, 'out'),
      `${root}/..`,
      `${root}-beside`,
      '/etc',
      '/',
    ]) {
      await expect(requireFreeFolder(request(location, roots))).rejects.toThrow(
        `it lies in none of the folders that --sr-root names, ${roots.join(', ')}`,
      )
    }
  })

  test('are all that others learn of: what is not there outside is no news', async () => {
    const root = await createTestFolder()
    const said = (location: string): Promise<string> =>
      requireFreeFolder(request(location, [root])).catch((error: Error) =>
        error.message.replace(location, ''),
      )
    expect(await said('/etc/no-such-folder')).toBe(await said('/etc'))
    expect(await said(join(root, 'no'))).toContain('there is no such folder')
  })
})

describe('the data folder', () => {
  test('is made with all above it, for nobody else to read', async () => {
    const folder = await createTestFolder()
    await makeDataFolder(join(folder, 'a', 'b'))
    await makeDataFolder(join(folder, 'a', 'b'))
    expect(await readdir(join(folder, 'a'))).toEqual(['b'])
  })

  test.runIf(isLinux)(
    'where no folder can be made, that is an error, and not tried for ever',
    async () => {
      await expect(makeFolder('/proc/no/such')).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )
})
