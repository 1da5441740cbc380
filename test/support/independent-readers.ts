// Guest bytes of images as programs read them that share no code with QEMU: the libraries of
// libyal, and 7-Zip.

import { spawnSync } from 'node:child_process'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createTestFolder, run } from './tools.ts'

/** The system's Python, whose modules are Debian packages. */
const python = '/usr/bin/python3'

const libraries = { qcow2: 'pyqcow', vhd: 'pyvhdi', vhdx: 'pyvhdi', vmdk: 'pyvmdk' } as const

/** As hasTool, for the libraries: missing ones fail in CI, and skip elsewhere. */
export const hasLibyal = (): boolean => {
  const names = [...new Set(Object.values(libraries))].join(', ')
  const { status } = spawnSync(python, ['-c', `import ${names}`])
  if (status !== 0 && process.env['CI'] !== undefined) throw new Error(`${names} are missing`)
  return status === 0
}

/** Copies the guest bytes in pieces; extents of VMDK are opened from beside the image. */
const program = `
import sys, pathlib
module, source, target = sys.argv[1:]
library = __import__(module)
disk = (library.handle if module == 'pyvmdk' else library.file)()
disk.open(source)
if module == 'pyvmdk': disk.open_extent_data_files()
with open(target, 'wb') as out:
    size = disk.get_media_size()
    while size > 0:
        piece = disk.read_buffer(min(size, 1 << 20))
        if not piece: raise SystemExit('the image ends early')
        out.write(piece)
        size -= len(piece)
`

/** What libvmdk, libvhdi or libqcow reads. */
export const readWithLibyal = async (
  format: keyof typeof libraries,
  path: string,
): Promise<Buffer> => {
  const target = join(await createTestFolder(), 'disk.raw')
  await run(python, ['-c', program, libraries[format], path, target])
  const bytes = await readFile(target)
  await rm(target)
  return bytes
}

/**
 * What 7-Zip reads.
 * @param type as 7-Zip names the format: `VMDK`, `VHDX`, `VDI`, `VHD`, `QCOW`
 */
export const readWithSevenZip = async (type: string, path: string): Promise<Buffer> => {
  const target = await createTestFolder()
  await run('7zz', ['x', `-t${type}`, '-y', `-o${target}`, path])
  const [name = ''] = await readdir(target)
  const bytes = await readFile(join(target, name))
  await rm(target, { recursive: true })
  return bytes
}
