// Whether a folder of the administrator's may become a storage repository. Looks only; makes
// nothing.

import { access, constants, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve, sep } from 'node:path'
import { AppError, isNodeError } from '../../errors.ts'
import { specialFileSystemOf } from './special-file-systems.ts'

export interface FolderRequest {
  /** As the client wrote it. */
  readonly location: string
  readonly readOnly: boolean
  /** Absolute paths; the folder must be one of them or lie in one. */
  readonly roots: readonly string[] | 'anywhere'
  /** Folders that are taken, by what they are called in messages. */
  readonly taken: readonly { readonly path: string; readonly name: string }[]
}

/** Linux: PATH_MAX. */
const maximumPathLength = 4096

/**
 * The real path of the folder, links resolved.
 * @throws AppError VALUE_NOT_SUPPORTED [device_config:location, path, reason] unless it is an
 *   absolute path to a folder that can be read, and written unless `readOnly`, that lies in one of
 *   `roots` and on no special file system, and that is neither one of those taken nor inside or
 *   around one
 */
export const requireFreeFolder = async (request: FolderRequest): Promise<string> => {
  const { location, readOnly, taken, roots } = request
  const fail = (found: string, cause?: unknown): AppError =>
    new AppError('VALUE_NOT_SUPPORTED', ['device_config:location', shown(location), found], {
      cause,
    })
  if (!isAbsolute(location)) throw fail('it is no absolute path')
  if (location.includes('\0') || location.length > maximumPathLength) throw fail('it is no path')
  const path = await realpath(location).catch(async (error: unknown) => {
    // Who may not look around here is not told what there is.
    const outside = await whyOutside(resolve(location), roots)
    throw outside === undefined ? fail(causeOf(error), error) : fail(outside)
  })
  const outside = await whyOutside(path, roots)
  if (outside !== undefined) throw fail(outside)
  const special = await specialFileSystemOf(path)
  if (special !== undefined) {
    throw fail(`it lies on a special file system (${special}), which keeps no files`)
  }
  const folder = await stat(path)
  if (!folder.isDirectory()) throw fail('it is no folder')
  const rights = readOnly ? 'read' : 'read and written'
  const mode = constants.R_OK | constants.X_OK | (readOnly ? 0 : constants.W_OK)
  await access(path, mode).catch((error: unknown) => {
    throw fail(`it must be one that can be ${rights}: ${causeOf(error)}`, error)
  })
  for (const other of taken) {
    const otherPath = await realpath(other.path).catch(() => other.path)
    const place = placeOf(path, otherPath) ?? (await samePlace(folder, otherPath))
    if (place !== undefined) throw fail(`it is ${place} ${other.name}, ${otherPath}`)
  }
  return path
}

/** Why the path is out of bounds; undefined: it is not. */
const whyOutside = async (
  path: string,
  roots: FolderRequest['roots'],
): Promise<string | undefined> => {
  if (roots === 'anywhere') return undefined
  if (roots.length === 0) {
    return 'only a pool-admin may name a folder, as this server was started without --sr-root DIR'
  }
  for (const root of roots) {
    const place = placeOf(path, await realpath(root).catch(() => root))
    if (place === 'the same as' || place === 'inside') return undefined
  }
  const named = roots.join(', ')
  return `it lies in none of the folders that --sr-root names, ${named}; only a pool-admin may name another`
}

/** Without what no path has: it goes into messages. */
const shown = (location: string): string => location.slice(0, 256).replaceAll('\0', '?')

const causeOf = (error: unknown): string => {
  const code = isNodeError(error) ? error.code : undefined
  if (code === 'ENOENT') return 'there is no such folder'
  if (code === 'EACCES') return 'it may not be entered (EACCES)'
  return code ?? String(error)
}

const placeOf = (path: string, other: string): string | undefined => {
  if (path === other) return 'the same as'
  if (path.startsWith(join(other, sep))) return 'inside'
  return other.startsWith(join(path, sep)) ? 'around' : undefined
}

/** A folder may be mounted in two places. */
const samePlace = async (
  folder: { readonly dev: number; readonly ino: number },
  other: string,
): Promise<string | undefined> => {
  const found = await stat(other).catch(() => undefined)
  return found?.dev === folder.dev && found.ino === folder.ino ? 'the same as' : undefined
}
