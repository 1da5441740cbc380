// File systems that show the kernel and not a disk, where no image may be kept: a file there may be
// a switch, and a folder cannot be made. Looks only at the list of what is mounted.

import { readFile, realpath } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { isNodeError } from '../../errors.ts'

/** File systems of the kernel. Not tmpfs: a disk in memory may be wanted, as in /dev/shm. */
const specialTypes: ReadonlySet<string> = new Set([
  'binder',
  'binfmt_misc',
  'bpf',
  'cgroup',
  'cgroup2',
  'configfs',
  'cpuset',
  'debugfs',
  'devfs',
  'devpts',
  'devtmpfs',
  'efivarfs',
  'functionfs',
  'fusectl',
  'hugetlbfs',
  'mqueue',
  'nfsd',
  'nsfs',
  'proc',
  'procfs',
  'pstore',
  'resctrl',
  'rpc_pipefs',
  'securityfs',
  'selinuxfs',
  'smackfs',
  'sysfs',
  'tracefs',
  'xenfs',
])

/**
 * Special whatever they are made of, with all below that is no mount of its own; in containers /dev
 * is a tmpfs.
 */
const specialPlaces: readonly string[] = ['/dev', '/proc', '/sys']

/** Special with all that is mounted below. */
const closedPlaces: readonly string[] = ['/proc', '/sys']

interface Mount {
  readonly point: string
  readonly type: string
}

/**
 * What kind of special file system the path lies on: `proc`, `sysfs` and so on; undefined: none.
 * @param path absolute, links resolved
 */
export const specialFileSystemOf = async (path: string): Promise<string | undefined> => {
  const mount = mountOf(path, await readMounts())
  if (mount !== undefined && specialTypes.has(mount.type)) return mount.type
  const place =
    closedPlaces.find((closed) => isWithin(path, closed)) ??
    specialPlaces.find((special) => isWithin(path, special))
  if (place === undefined) return undefined
  // /dev/shm: a mounted file system is not part of /dev.
  const isOwnMount = mount !== undefined && mount.point !== place && isWithin(mount.point, place)
  return isOwnMount && !closedPlaces.includes(place) ? undefined : place
}

/** The same of a path that need not be there: by the part of it that is. */
export const specialFileSystemAround = async (path: string): Promise<string | undefined> => {
  for (let part = resolve(path); ; part = dirname(part)) {
    const real = await realpath(part).catch(unlessMissing)
    if (real !== undefined) return specialFileSystemOf(real)
    if (part === dirname(part)) return undefined
  }
}

const unlessMissing = (error: unknown): undefined => {
  if (isNodeError(error) && ['ENOENT', 'ENOTDIR'].includes(error.code ?? '')) return undefined
  throw error
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(join(folder, sep))

/** The deepest; of several in one place the last, which covers the others. */
const mountOf = (path: string, mounts: readonly Mount[]): Mount | undefined =>
  mounts
    .filter(({ point }) => isWithin(path, point))
    .reduce<Mount | undefined>(
      (found, mount) =>
        found === undefined || mount.point.length >= found.point.length ? mount : found,
      undefined,
    )

/** None where the system has no such list. */
const readMounts = async (): Promise<Mount[]> => {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  return parseMountInfo(text)
}

/**
 * Linux, proc(5): the mount point is the fifth field, the type the first behind a field that is
 * only a dash.
 */
export const parseMountInfo = (text: string): Mount[] =>
  text.split('\n').flatMap((line) => {
    const fields = line.split(' ')
    const [point, type] = [fields[4], fields[fields.indexOf('-') + 1]]
    if (point === undefined || type === undefined) return []
    // Blanks and the like stand there as octal numbers.
    const unescaped = point.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    )
    return [{ point: unescaped, type }]
  })
