// The folder beside the layers where files lie while they are written. A mark in it says whose it
// is: whatever else is called `staging` belongs to others, and nothing in it is ever touched.

import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isNodeError } from '../../errors.ts'
import { endingOf, formatNames } from '../../format-table.ts'

/** The file that makes a folder ours; its first line is the uuid of the storage repository. */
const markName = '.diskport-staging'

const markText = (srUuid: string): string =>
  `${srUuid}\nThis folder is for files that diskport is writing. Others may be deleted: keep none here.\n`

/** What diskport calls its files in staging: spools, layers and their maps. */
const stagedName =
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.(?<ending>\w+)(?<map>\.map\.json(\.next)?)?$/

export const isStagedName = (name: string): boolean => {
  const { ending, map } = stagedName.exec(name)?.groups ?? {}
  if (ending === undefined) return false
  if (ending === 'spool') return map === undefined
  return formatNames.some((format) => endingOf(format) === ending)
}

/**
 * The first that can be had: `staging`, or one with the uuid of the storage repository, which
 * nobody else makes.
 */
const namesFor = (srUuid: string): [string, string] => ['staging', `staging-${srUuid}`]

/** Finds the staging folder of a storage repository in `path`, or makes it. @returns its name */
export const ensureStaging = async (path: string, srUuid: string): Promise<string> =>
  (await findStaging(path, srUuid)) ?? makeStaging(path, srUuid)

/** @returns its name */
const makeStaging = async (path: string, srUuid: string): Promise<string> => {
  for (const name of namesFor(srUuid)) {
    if (await makeMarked(join(path, name), srUuid)) return name
  }
  throw new Error(`There is a staging-${srUuid} in ${path} already`)
}

/** False where there is something of that name. */
const makeMarked = async (folder: string, srUuid: string): Promise<boolean> => {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (isNodeError(error) && error.code === 'EEXIST') return false
    throw error
  }
  try {
    await writeMark(folder, srUuid)
  } catch (error) {
    // On a full disk the mark may be empty, and would not tell whose the folder is.
    await rm(join(folder, markName), { force: true })
    await rmdir(folder)
    throw error
  }
  return true
}

const writeMark = (folder: string, srUuid: string): Promise<void> =>
  writeFile(join(folder, markName), markText(srUuid), { flag: 'wx', mode: 0o600 })

/** Finds the one that was made in `path`; undefined: there is none. */
export const findStaging = async (path: string, srUuid: string): Promise<string | undefined> => {
  for (const name of namesFor(srUuid)) {
    if ((await readMark(join(path, name))) === srUuid) return name
  }
  return undefined
}

/** The owner of the folder; undefined without a mark, and for what is not a folder. */
const readMark = async (folder: string): Promise<string | undefined> => {
  if (!(await isFolder(folder))) return undefined
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    await using file = await open(join(folder, markName), flags)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0)
    return buffer.toString('latin1', 0, bytesRead).split('\n', 1)[0]
  } catch (error) {
    if (isNodeError(error) && ['ENOENT', 'ELOOP'].includes(error.code ?? '')) return undefined
    throw error
  }
}

const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (isNodeError(error) && error.code === 'ENOENT') return false
    throw error
  }
}

/**
 * Of a storage repository from before there were marks: marks its `staging` if all that lies in it
 * is known to be ours; beside another one, makes ours anew.
 * @param ownNames the file names of our layers there, half-written ones included
 * @returns its name; undefined where there is no `staging`, which such a storage repository has
 */
export const adoptStaging = async (
  path: string,
  srUuid: string,
  ownNames: ReadonlySet<string>,
): Promise<string | undefined> => {
  const [name] = namesFor(srUuid)
  const folder = join(path, name)
  if (!(await isFolder(folder))) return undefined
  const isOurs = (file: string): boolean =>
    isStagedName(file) &&
    (file.endsWith('.spool') || ownNames.has(file.replace(/\.map\.json(\.next)?$/, '')))
  if (!(await readdir(folder)).every(isOurs)) return makeStaging(path, srUuid)
  await writeMark(folder, srUuid)
  return name
}

/** Removes the staging folder, if nothing but its mark is in it. */
export const removeStaging = async (path: string, srUuid: string): Promise<void> => {
  const name = await findStaging(path, srUuid)
  if (name === undefined) return
  const folder = join(path, name)
  if ((await readdir(folder)).some((file) => file !== markName)) return
  await rm(join(folder, markName), { force: true })
  await rmdir(folder)
}
