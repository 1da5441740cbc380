// What real tools write is told from its first bytes: images of qemu-img, archives of tar, files of
// compressors.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { FORM_LENGTH, recogniseForm } from '../../src/formats/recognise.ts'
import { createRawSource } from '../support/sources.ts'
import { createTestFolder, hasTool, qemuImg, run } from '../support/tools.ts'

const nameOf = async (path: string): Promise<string | undefined> => {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(FORM_LENGTH))
    return recogniseForm(buffer.subarray(0, bytesRead))?.name
  } finally {
    await file.close()
  }
}

describe.skipIf(!hasTool('qemu-img'))('images of qemu-img', () => {
  test.each([
    ['qcow2', [], 'a qcow2 image'],
    ['qcow2', ['-o', 'compat=0.10'], 'a qcow2 image'],
    ['qcow', [], 'a qcow image of version 1'],
    ['vpc', [], 'a VHD image'],
    ['vpc', ['-o', 'subformat=fixed'], undefined],
    ['vhdx', [], 'a VHDX image'],
    ['vmdk', [], 'a VMDK image'],
    ['vmdk', ['-o', 'subformat=streamOptimized'], 'a VMDK image'],
    ['vmdk', ['-o', 'subformat=monolithicFlat'], 'a VMDK image of ESX or in several files'],
    ['vdi', [], 'a VDI image of VirtualBox'],
    ['qed', [], 'a QED image'],
    ['parallels', [], 'a Parallels image'],
    [
      'luks',
      ['--object', 'secret,id=s,data=x', '-o', 'key-secret=s,iter-time=10'],
      'a LUKS volume',
    ],
    ['raw', [], undefined],
  ] as const)('%s %j is %s', async (driver, options, expected) => {
    const path = join(await createTestFolder(), 'disk')
    await qemuImg('create', '-q', '-f', driver, ...options, path, '8M')
    expect(await nameOf(path)).toBe(expected)
  })
})

describe.skipIf(!hasTool('7zz') || !hasTool('tar'))('compressed disks and archives', () => {
  test.each([
    ['7zz a -bd -tgzip out disk.raw', 'compressed with gzip'],
    ['7zz a -bd -txz out disk.raw', 'compressed with xz'],
    ['7zz a -bd -tbzip2 out disk.raw', 'compressed with bzip2'],
    ['7zz a -bd -tzip out disk.raw', 'a zip archive'],
    ['7zz a -bd -t7z out disk.raw', 'a 7z archive'],
    ['7zz a -bd -ttar out disk.raw', 'a tar archive'],
    ['tar -cf out disk.raw', 'a tar archive'],
    ['cp disk.raw 00000000 && tar -cf out 00000000', 'a tar archive of the blocks of a disk'],
    ['tar -cf out --format=v7 disk.raw', 'a tar archive'],
    ['tar -cf out --format=pax disk.raw', 'a tar archive'],
    ['cp disk.raw a.ovf && tar -cf out a.ovf disk.raw', 'an OVA appliance'],
    ['cp disk.raw ova.xml && tar -cf out ova.xml', 'an exported VM of XenServer (XVA)'],
  ])('%s makes %s', async (command, expected) => {
    const folder = await createTestFolder()
    await createRawSource(folder, 'disk.raw', { size: 65_536, parts: [[512, 4096]] })
    // 7zz adds an extension to a name without one.
    await run('sh', ['-c', `cd '${folder}' && (${command}) && (test -f out || mv out.* out)`])
    expect(await nameOf(join(folder, 'out'))).toBe(expected)
  })

  test.each([
    [gzipSync, 'compressed with gzip'],
    [zstdCompressSync, 'compressed with zstd'],
  ])('by Node itself', (compress, expected) => {
    expect(recogniseForm(compress(Buffer.alloc(65_536)))?.name).toBe(expected)
  })
})
