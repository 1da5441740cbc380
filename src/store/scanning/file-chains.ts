// Which file of a folder lies on which: by the names that images give their parents, which are data
// and never paths. A parent is a plain name of a file in the same folder, found in the list of what
// is there; nothing is ever opened by a name out of an image. Of a path only the last component
// counts: XCP-ng's driver writes those of its host's mount points.

import type { FormatName } from '../../format-table.ts'
import type { ParentClaim } from '../../formats/format.ts'

/** What a chain needs to know of a file. */
export interface ChainFile {
  readonly format: FormatName
  /** The image's own id, where it has one. */
  readonly imageUuid?: string
  readonly parent?: ParentClaim
}

export type FileChain =
  | { readonly kind: 'whole' }
  | { readonly kind: 'on'; readonly parentName: string }
  | { readonly kind: 'broken'; readonly reason: string }

/** The longest chain that is taken: each reader pays for each layer. */
const maximumChain = 64

/** How much of a name from an image is shown. */
const shownLength = 100

/**
 * @param files all images of the folder that can be read, by file name
 * @param broken why others cannot, by file name
 * @returns for each of `files` what it lies on; broken, where something below it is
 */
export const resolveChains = (
  files: ReadonlyMap<string, ChainFile>,
  broken: ReadonlyMap<string, string>,
): Map<string, FileChain> => {
  const direct = new Map(
    Array.from(files, ([name, file]) => [name, directParent(file, files, broken)] as const),
  )
  const found = new Map<string, { chain: FileChain; length: number }>()
  for (const start of files.keys()) {
    // Down to what is known, then back up.
    const path: string[] = []
    const onPath = new Set<string>()
    let name = start
    for (;;) {
      if (found.has(name)) break
      const chain = direct.get(name)!
      if (onPath.has(name)) {
        const cycle = path.slice(path.indexOf(name)).join(' → ')
        const reason = `its parents go round in a circle: ${cycle} → ${name}`
        for (const member of path.splice(path.indexOf(name))) {
          found.set(member, { chain: { kind: 'broken', reason }, length: 0 })
        }
        break
      }
      path.push(name)
      onPath.add(name)
      if (chain.kind !== 'on') {
        path.pop()
        found.set(name, { chain, length: 1 })
        break
      }
      name = chain.parentName
    }
    for (const member of path.toReversed()) found.set(member, above(member, direct, found))
  }
  return new Map(Array.from(found, ([name, { chain }]) => [name, chain] as const))
}

const above = (
  name: string,
  direct: ReadonlyMap<string, FileChain>,
  found: ReadonlyMap<string, { chain: FileChain; length: number }>,
): { chain: FileChain; length: number } => {
  const chain = direct.get(name)!
  if (chain.kind !== 'on') return { chain, length: 1 }
  const below = found.get(chain.parentName)!
  if (below.chain.kind === 'broken') {
    const reason = `its parent ${chain.parentName} cannot be used: ${below.chain.reason}`
    return { chain: { kind: 'broken', reason: cut(reason, 1000) }, length: 0 }
  }
  const length = below.length + 1
  if (length <= maximumChain) return { chain, length }
  const reason = `it lies on more than ${maximumChain - 1} others`
  return { chain: { kind: 'broken', reason }, length: 0 }
}

const directParent = (
  { parent }: ChainFile,
  files: ReadonlyMap<string, ChainFile>,
  broken: ReadonlyMap<string, string>,
): FileChain => {
  if (parent === undefined) return { kind: 'whole' }
  const fail = (reason: string): FileChain => ({ kind: 'broken', reason })
  const names = claimedNames(parent.names)
  const parentName = names.find((name) => files.has(name))
  if (parentName === undefined) {
    const name = names.find((name) => broken.has(name))
    if (name !== undefined) {
      return fail(`its parent ${name} cannot be used: ${cut(broken.get(name)!, 1000)}`)
    }
    return fail(whyUnknown(parent.names, names))
  }
  const found = files.get(parentName)!
  if (parent.format !== undefined && parent.format !== found.format) {
    return fail(`it takes its parent ${parentName} for ${parent.format}, which is ${found.format}`)
  }
  const { imageUuid } = found
  if (parent.uuid !== undefined && imageUuid !== undefined && parent.uuid !== imageUuid) {
    return fail(`it lies on the image ${parent.uuid}, its parent ${parentName} is ${imageUuid}`)
  }
  return { kind: 'on', parentName }
}

/** @param names the files that it may be: not one is there */
const whyUnknown = ([claimed = '']: readonly string[], [name]: readonly string[]): string => {
  const called = `its parent is called ${JSON.stringify(cut(claimed, shownLength))}`
  if (name === undefined) return `${called}; only a file of the same folder is followed`
  const shown = cut(name, shownLength)
  return isPath(claimed)
    ? `${called}, and ${shown} is not among the images of this folder`
    : `its parent ${JSON.stringify(shown)} is not among the images of this folder`
}

/**
 * The files of the same folder that a parent may be, by all that it is called: plain names first,
 * then the ends of paths.
 */
export const claimedNames = (names: readonly string[]): string[] => {
  const paths = names.filter((name) => !isUrl(name)).map((name) => name.replace(/^file:/, ''))
  const ordered = [...paths.filter((name) => !isPath(name)), ...paths.filter(isPath)]
  return ordered.map(lastComponent).filter((name) => name !== undefined)
}

/** More than a name with `./`, `.\` or `file://./` before it. */
const isPath = (name: string): boolean =>
  /[/\\]/.test(name.replace(/^(?:file:)?(?:\/\/)?\.[/\\]/, ''))

/**
 * `nbd://…`, `json:…`, `http:…`: it lies elsewhere, whatever its end is called. One letter is a
 * drive of Windows.
 */
const isUrl = (name: string): boolean =>
  /^[a-z][a-z0-9+.-]+:/i.test(name) && !name.startsWith('file:')

const lastComponent = (path: string): string | undefined => {
  const name = path.split(/[/\\]/).at(-1)!
  const isPlain = /^[^:\0]{1,255}$/.test(name) && name !== '.' && name !== '..'
  return isPlain ? name : undefined
}

const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length)}…`
