// A folder of the file system: `<path>/<uuid>.<format>` sealed, `<path>/staging/` being written. In
// folders of others the staging area may have another name (staging-folder.ts).

import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { isNodeError } from '../../errors.ts'
import { createFileImage, openFileImage } from '../../image/file-image.ts'
import { openFileSpool } from '../../image/spool.ts'
import type { LayerFolder } from './layer-folder.ts'
import { isStagedName } from './staging-folder.ts'

/** The unit of `stat.blocks`, whatever the file system's own. POSIX, "sys/stat.h". */
const statBlockSize = 512

/** Makes a folder of our own and its staging area where they are missing. */
export const openFileFolder = async (path: string): Promise<LayerFolder> => {
  await mkdir(join(path, STAGING), { recursive: true, mode: 0o700 })
  await syncFolder(path)
  return fileFolder(path)
}

/** Where files lie while they are written, in a folder of our own. */
export const STAGING = 'staging'

/**
 * The folder as it is; nothing is made.
 * @param stagingName of the staging area in it: all files there with names of ours are ours
 */
export const fileFolder = (path: string, stagingName = STAGING): LayerFolder => {
  const staging = join(path, stagingName)
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
        .filter(({ name }) => name !== stagingName)
        .map((entry) => ({ name: entry.name, isPlain: entry.isFile() }))
    },
    state: (name) =>
      unlessAbsent(async () => {
        const { size, mtimeNs, ctimeNs, ino } = await lstat(join(path, name), { bigint: true })
        return { size: Number(size), changedAt: mtimeNs, inodeChangedAt: ctimeNs, inode: ino }
      }),
    open: (name) => unlessAbsent(() => openFileImage(join(path, name))),
    async remove(name) {
      await rm(join(staging, name), { force: true })
      await rm(join(path, name), { force: true })
    },
    async touch(name) {
      // Our own clock may differ from that of the storage, which the times of other files come
      // from.
      await using file = await open(join(path, name), 'r+')
      const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, 0)
      await file.write(buffer, 0, bytesRead, 0)
    },
    discard: (name) => rm(join(staging, name), { force: true }),
    listStaging: async () => (await readdir(staging)).filter(isStagedName),
    openSpool: () => openFileSpool(join(staging, `${randomUUID()}.spool`)),
    async space() {
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
