// The descriptor of an OVA: which files are which disks of which VMs. OVF 1.x and 2.0, DSP0243;
// names are read without their namespaces, which differ by version.

import { imageError } from '../../errors.ts'
import { quote } from '../../formats/tar/header.ts'
import { SECTOR_SIZE } from '../../units.ts'
import type { ArchivedDisk, ArchivedMachines } from '../machines.ts'
import type { XmlElement } from '../xml.ts'
import { childOf, childrenOf } from '../xml.ts'
import { allocationUnits } from './allocation-units.ts'
import { attributeOf } from './attributes.ts'
import { readSystem } from './read-system.ts'

const what = 'Cannot read the OVF'

/** @throws AppError IMPORT_ERROR_GENERIC for what says nothing that can be imported */
export const readOvf = (root: XmlElement): ArchivedMachines => {
  if (root.name !== 'Envelope') {
    throw imageError(what, `it begins with <${root.name.slice(0, 32)}>, must be <Envelope>`)
  }
  const systems = systemsOf(root)
  if (systems.length === 0) throw imageError(what, 'it describes no VM (VirtualSystem)')
  const disks = readDisks(root)
  const byId = new Map(disks.map((disk) => [disk.id, disk] as const))
  const read = systems.map((system, index) => readSystem(system, index, byId))
  const names = new Map(read.flatMap(({ diskNames }) => [...diskNames]))
  const used = new Set(read.flatMap(({ vm }) => vm.vbds.map(({ diskId }) => diskId)))
  const files = new Set(disks.flatMap(({ source }) => (source.kind === 'image' ? source.name : [])))
  const others = [...filesOf(root).values()].filter(({ name }) => !files.has(name))
  const unused = disks.filter(({ id }) => !used.has(id))
  return {
    disks: disks.map((disk) => ({ ...disk, nameLabel: names.get(disk.id) ?? disk.id })),
    vms: read.map(({ vm }) => vm),
    notes: [
      ...listed(
        'files that are no disks are left out: ',
        others.map(({ name }) => name),
      ),
      ...listed(
        'disks that no VM has: ',
        unused.map(({ id }) => id),
      ),
      ...new Set(read.flatMap(({ notes }) => notes)),
    ],
  }
}

/** The first of them, by name. */
const listed = (start: string, names: readonly string[]): string[] => {
  if (names.length === 0) return []
  const shown = names.slice(0, 5).map((name) => quote(name))
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : ''
  return [`${start}${shown.join(', ')}${more}`]
}

/** Those of a collection too, in the order of the document. */
const systemsOf = (element: XmlElement): XmlElement[] =>
  element.children.flatMap((child) => {
    if (child.name === 'VirtualSystem') return [child]
    return child.name === 'VirtualSystemCollection' ? systemsOf(child) : []
  })

interface FileReference {
  readonly name: string
  readonly compression: string
  readonly isChunked: boolean
}

const filesOf = (root: XmlElement): ReadonlyMap<string, FileReference> =>
  new Map(
    childrenOf(childOf(root, 'References'), 'File').map((file) => {
      const id = attributeOf(file, 'id') ?? ''
      const reference = {
        name: fileName(attributeOf(file, 'href') ?? ''),
        compression: attributeOf(file, 'compression') ?? '',
        isChunked: attributeOf(file, 'chunkSize') !== undefined,
      }
      return [id, reference] as const
    }),
  )

/** A reference is a URI: a space may be `%20` in it. */
const fileName = (href: string): string => {
  try {
    return decodeURIComponent(href).replace(/^(?:\.\/+)+/, '')
  } catch {
    return href
  }
}

const readDisks = (root: XmlElement): ArchivedDisk[] => {
  const files = filesOf(root)
  const taken = new Set<string>()
  const ids = new Set<string>()
  return childrenOf(childOf(root, 'DiskSection'), 'Disk').map((disk) => {
    const id = attributeOf(disk, 'diskId') ?? ''
    const name = `the disk ${quote(id)}`
    if (id === '' || ids.has(id)) throw imageError(what, 'its disks have no names of their own')
    ids.add(id)
    if (attributeOf(disk, 'parentRef') !== undefined) {
      throw imageError(
        what,
        `${name} lies on another disk (parentRef): export the VM without snapshots`,
      )
    }
    const fileRef = attributeOf(disk, 'fileRef')
    const size = capacityOf(disk, name)
    const common = { id, nameLabel: id, nameDescription: '', size }
    if (fileRef === undefined) {
      if (size === undefined) throw imageError(what, `${name} has neither a file nor a capacity`)
      return { ...common, source: { kind: 'empty' } }
    }
    const file = files.get(fileRef)
    if (file === undefined)
      throw imageError(what, `${name} names no file of it (${quote(fileRef)})`)
    requireInside(file, name)
    if (taken.has(file.name)) throw imageError(what, `two disks have the file ${quote(file.name)}`)
    taken.add(file.name)
    const format = attributeOf(disk, 'format') ?? ''
    return { ...common, source: { kind: 'image', name: file.name, format } }
  })
}

const requireInside = (
  { name: href, compression, isChunked }: FileReference,
  name: string,
): void => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(href)) {
    throw imageError(what, `${name} lies elsewhere (${quote(href)}): nothing is fetched from there`)
  }
  if (isChunked) {
    throw imageError(what, `${name} comes in several files (chunkSize): export it without chunks`)
  }
  if (!['', 'identity', 'gzip'].includes(compression.toLowerCase())) {
    throw imageError(what, `${name} is compressed with ${quote(compression)}, only gzip is known`)
  }
}

/** Rounded up to whole sectors. */
const capacityOf = (disk: XmlElement, name: string): number | undefined => {
  const text = attributeOf(disk, 'capacity')
  // A property of the deployment may stand there: then the image tells.
  if (text === undefined || text.startsWith('${')) return undefined
  const unit = allocationUnits(attributeOf(disk, 'capacityAllocationUnits') ?? 'byte')
  const bytes = Number(text) * (unit ?? NaN)
  if (/^\d+$/.test(text) && Number.isSafeInteger(bytes)) {
    return Math.ceil(bytes / SECTOR_SIZE) * SECTOR_SIZE
  }
  throw imageError(what, `the capacity of ${name} is ${quote(text)}`)
}
