// A folder of the file system: `<path>/<uuid>.<format>` sealed, `<path>/staging/` being written.

import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { isNodeError } from '../errors.ts'
import { createFileImage, openPlainFileImage } from '../image/file-image.ts'
import { openFileSpool } from '../image/spool.ts'
import type { LayerFolder } from './layer-folder.ts'

/** The unit of `stat.blocks`, whatever the file system's own. POSIX, "sys/stat.h". */
const statBlockSize = 512

/** What diskport calls its files in staging. A folder that was there before it may hold others. */
const stagedName =
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.(spool|(raw|vhd|qcow2)(\.map\.json(\.next)?)?)$/

/** Makes the folder and its staging area where they are missing. */
export const openFileFolder = async (path: string): Promise<LayerFolder> => {
  await mkdir(join(path, STAGING), { recursive: true, mode: 0o700 })
  await syncFolder(path)
  return fileFolder(path)
}

/** Where files lie while they are written. */
export const STAGING = 'staging'

/** The folder as it is; nothing is made. */
export const fileFolder = (path: string): LayerFolder => {
  const staging = join(path, STAGING)
  return {
    create: (name) => createFileImage(join(staging, name)),
    async publish(name, as = name) {
      const published = join(path, as)
      await rename(join(staging, name), published)
      await syncFolder(path)
      return (await stat(published)).blocks * statBlockSize
    },
    async list() {
      const entries = await readdir(path, { withFileTypes: true })
      return entries
        .filter(({ name }) => name !== STAGING)
        .map((entry) => ({ name: entry.name, isPlain: entry.isFile() }))
    },
    state: (name) =>
      unlessAbsent(async () => {
        const { size, mtimeNs, ctimeNs, ino } = await lstat(join(path, name), { bigint: true })
        return { size: Number(size), changedAt: mtimeNs, inodeChangedAt: ctimeNs, inode: ino }
      }),
    open: (name) => unlessAbsent(() => openPlainFileImage(join(path, name))),
    async remove(name) {
      await rm(join(staging, name), { force: true })
      await rm(join(path, name), { force: true })
    },
    async touch(name) {
      // Our own clock may differ from that of the storage, which the times of other files come from.
      await using file = await open(join(path, name), 'r+')
      const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, 0)
      await file.write(buffer, 0, bytesRead, 0)
    },
    discard: (name) => rm(join(staging, name), { force: true }),
    listStaging: async () => (await readdir(staging)).filter((name) => stagedName.test(name)),
    openSpool: () => openFileSpool(join(staging, `${randomUUID()}.spool`)),
    async usage() {
      const { blocks, bfree, bsize } = await statfs(path)
      return { size: blocks * bsize, used: (blocks - bfree) * bsize }
    },
  }
}

const unlessAbsent = async <T>(look: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await look()
  } catch (error) {
    if (isNodeError(error) && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** fsync of a folder: what was renamed in it stays so after a power cut. */
const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
