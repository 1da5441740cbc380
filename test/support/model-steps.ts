// The steps of the model-based test: what may be done, what it does to the real thing, and what the
// model shows afterwards. A step chooses by index modulo, so that any part of a list of steps can
// run.

import fc from 'fast-check'
import type { Disk } from '../../src/disk/disk.ts'
import { rangeWithin } from '../../src/disk/disk.ts'
import type { ExtentKind } from '../../src/disk/extents.ts'
import { clip, coalesce } from '../../src/disk/extents.ts'
import { AppError } from '../../src/errors.ts'
import type { FormatName } from '../../src/format-table.ts'
import type { PlanOptions } from '../../src/formats/format.ts'
import { formatsAtRest } from '../../src/format-table.ts'
import { formats } from '../../src/formats/registry.ts'
import { listChangedBlocks } from '../../src/operations/list-changed-blocks.ts'
import { copyVdi } from '../../src/operations/copy-vdi.ts'
import { importVdi } from '../../src/operations/import-vdi.ts'
import { migrateVdi } from '../../src/operations/migrate-vdi.ts'
import { resizeVdi } from '../../src/operations/resize-vdi.ts'
import { destroyVdi } from '../../src/operations/destroy-vdi.ts'
import { destroyVdiData } from '../../src/operations/destroy-vdi-data.ts'
import { cloneVdi } from '../../src/operations/clone-vdi.ts'
import { snapshotVdi } from '../../src/operations/snapshot-vdi.ts'
import { noTask } from '../../src/transfer/with-task.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { cutInChunks, expectSameBytes, fillPattern, readAll } from './disks.ts'
import type { ModelHost } from './model-host.ts'
import type { ModelVdi, ModelVdis } from './model-vdis.ts'
import { changed, familyOf, modelDisk, newName, overlaid, readImage } from './model-vdis.ts'

/** At most so many VDIs, of at most so many bytes. */
const maximumVdis = 8
const maximumSize = 6 * MiB

export interface Change {
  /** @returns the uuid of the VDI that it makes, where it makes one */
  act(): Promise<unknown>
  /** The model afterwards. */
  readonly after: ModelVdis
  /** The name of the VDI that it makes. */
  readonly made?: number
}

export interface Step {
  readonly name: string
  /** False: there is nothing to do it to. */
  canRun(vdis: ModelVdis): boolean
  /** Checks what can be checked beforehand, and says what is to be done; undefined: nothing. */
  prepare(host: ModelHost, vdis: ModelVdis): Promise<Change | undefined>
}

const pick = <T>(list: readonly T[], index: number): T => list[index % list.length]!
const isShown = ({ hasData }: ModelVdi): boolean => hasData
const isWritable = ({ isSnapshot }: ModelVdi): boolean => !isSnapshot
const hasRoom = (vdis: ModelVdis): boolean => vdis.length < maximumVdis

const which = fc.nat(maximumVdis * 3)
const place = fc.constantFrom(0 as const, 1 as const)
const format = fc.constantFrom<FormatName>('qcow2', 'vhd', 'raw')
const size = fc.constantFrom(
  64 * KiB,
  512 * KiB + SECTOR_SIZE,
  MiB,
  2 * MiB,
  2 * MiB + 96 * KiB + SECTOR_SIZE,
  3 * MiB - 4 * KiB,
  4 * MiB + 64 * KiB,
)

const stepOf = <T>(
  name: string,
  values: fc.Arbitrary<T>,
  rest: (values: T) => Omit<Step, 'name'>,
): fc.Arbitrary<Step> =>
  values.map((values) => ({ name: `${name} ${JSON.stringify(values)}`, ...rest(values) }))

const create = stepOf('create', fc.record({ place, format, size }), ({ place, format, size }) => ({
  canRun: hasRoom,
  async prepare({ context, places }, vdis) {
    const made = newName(vdis)
    const row = { virtualSize: size, format, requestedFormat: format }
    return {
      act: async () => (await context.catalog.vdis.create({ ...row, srUuid: places[place] })).uuid,
      after: [...vdis, modelDisk(made, place, new Uint8Array(size))],
      made,
    }
  },
}))

const content = fc.array(
  fc.record({
    kind: fc.constantFrom('data' as const, 'data' as const, 'zero' as const),
    // In units, of which a disk has at most 1536 or 96.
    at: fc.nat(1535),
    units: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 600 })),
    unit: fc.constantFrom(4 * KiB, 64 * KiB, SECTOR_SIZE),
    // Few: the same content comes again.
    seed: fc.integer({ min: 1, max: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
)
type Content = typeof content extends fc.Arbitrary<infer T> ? T : never

/** The pattern of each seed, once: it is slow to make. */
const patterns = new Map<number, Uint8Array>()
const patternOf = (seed: number): Uint8Array => {
  const known = patterns.get(seed) ?? new Uint8Array(maximumSize + MiB)
  if (!patterns.has(seed)) fillPattern(0, known, seed)
  patterns.set(seed, known)
  return known
}

/** An image with the content, none of it behind `end`. */
const imageOf = async (
  format: FormatName,
  options: PlanOptions,
  content: Content,
  size: number,
  end: number,
): Promise<Uint8Array> => {
  const bytes = new Uint8Array(size)
  const kinds: ExtentKind[] = Array.from({ length: size / SECTOR_SIZE }, () => 'hole')
  for (const { kind, at, units, unit, seed } of content) {
    const from = (at * unit) % end
    const to = Math.min(end, from + units * unit)
    if (kind === 'zero') bytes.fill(0, from, to)
    else bytes.set(patternOf(seed).subarray(from, to), from)
    kinds.fill(kind, from / SECTOR_SIZE, to / SECTOR_SIZE)
  }
  const identity = { uuid: '01020304-0506-4708-890a-0b0c0d0e0f10', timestamp: new Date(1.7e12) }
  const image = await formats[format].plan(await bytesDisk(bytes, kinds), identity, options)
  try {
    return await readAll(image)
  } finally {
    await image.close()
  }
}

/** @param kinds of each sector */
const bytesDisk = async (bytes: Uint8Array, kinds: readonly ExtentKind[]): Promise<Disk> => {
  const sectors = kinds.map((kind, sector) => {
    return { kind, offset: sector * SECTOR_SIZE, length: SECTOR_SIZE }
  })
  const extents = await Array.fromAsync(coalesce(sectors))
  return {
    size: bytes.length,
    async *extents(range) {
      for (const extent of extents) {
        const inside = clip(extent, rangeWithin(bytes.length, range))
        if (inside !== undefined) yield inside
      }
    },
    async read(offset, target) {
      target.set(bytes.subarray(offset, offset + target.length))
    },
    async close() {},
  }
}

const expectNoBase = async (importing: Promise<unknown>): Promise<void> => {
  const [{ status, reason }] = (await Promise.allSettled([importing])) as [PromiseRejectedResult]
  const isRefused = reason instanceof AppError && reason.message.includes('import its base first')
  if (!isRefused) throw new Error(`A delta onto nothing is ${status}`, { cause: reason })
}

const upload = (bytes: Uint8Array, chunk: number, isAnnounced = true) => ({
  ...(isAnnounced ? { length: bytes.length } : {}),
  accept: () => cutInChunks(bytes, [chunk, 13, 64 * KiB]),
})

const chunk = fc.constantFrom(700, 4096, 300_007)
const imageForm = fc.constantFrom<[FormatName, PlanOptions]>(
  ['raw', {}],
  ['vhd', {}],
  ['vhd', { subformat: 'fixed' }],
  ['qcow2', {}],
)

const importInto = stepOf(
  'import',
  fc.record({
    which,
    content,
    imageForm,
    chunk,
    replace: fc.boolean(),
    // Half as large, of the same size, or larger by what a sender rounds.
    extent: fc.constantFrom('same' as const, 'same' as const, 'half' as const, 'over' as const),
    isAnnounced: fc.boolean(),
  }),
  ({ which, content, imageForm, chunk, replace, extent, isAnnounced }) => ({
    canRun: (vdis) => vdis.some(isWritable),
    async prepare({ context, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isWritable), which)
      const [formatName, options] = imageForm
      const { length } = vdi.bytes
      const half = Math.ceil(length / 2 / SECTOR_SIZE) * SECTOR_SIZE
      const size = { same: length, half, over: length + 9 * SECTOR_SIZE }[extent]
      const image = await imageOf(formatName, options, content, size, Math.min(size, length))
      const { held } = await readImage(formatName, image)
      const target = { vdiUuid: uuidOf(vdi) }
      const request = { target, formatName, replace, chunked: false }
      const body = upload(image, chunk, isAnnounced || extent !== 'same')
      const bytes = overlaid(replace ? new Uint8Array(length) : vdi.bytes, held)
      return {
        act: () => importVdi(context, request, noTask, body),
        after: changed(vdis, vdi.name, { bytes }),
      }
    },
  }),
)

const importNew = stepOf(
  'import as a new VDI',
  fc.record({ place, size, content, imageForm, chunk }),
  ({ place, size, content, imageForm, chunk }) => ({
    canRun: hasRoom,
    async prepare({ context, places }, vdis) {
      const [formatName, options] = imageForm
      const image = await imageOf(formatName, options, content, size, size)
      const { held } = await readImage(formatName, image)
      const made = newName(vdis)
      const target = { srUuid: places[place], nameLabel: 'new' }
      const request = { target, formatName, replace: false, chunked: false }
      return {
        act: async () =>
          (await importVdi(context, request, noTask, upload(image, chunk))).vdiUuids[0],
        after: [...vdis, modelDisk(made, place, overlaid(new Uint8Array(size), held))],
        made,
      }
    },
  }),
)

const exportWhole = stepOf('export', fc.record({ which, imageForm }), ({ which, imageForm }) => ({
  canRun: (vdis) => vdis.some(isShown),
  async prepare({ exportImage, uuidOf }, vdis) {
    const vdi = pick(vdis.filter(isShown), which)
    const [formatName, options] = imageForm
    const image = await exportImage({ vdiUuid: uuidOf(vdi), formatName, options })
    const { size, held } = await readImage(formatName, image)
    expectSameBytes(overlaid(new Uint8Array(size), held), vdi.bytes, `${formatName} of ${vdi.name}`)
    return undefined
  },
}))

const exportDelta = stepOf(
  'export a delta, and import it',
  fc.record({
    which,
    base: which,
    into: which,
    deltaForm: fc.constantFrom<[FormatName, PlanOptions]>(
      ['vhd', {}],
      ['qcow2', {}],
      ['qcow2', { delta: 'compact' }],
    ),
    narrow: fc.constantFrom('never' as const, 'small' as const, 'always' as const),
    chunk,
  }),
  ({ which, base: baseIndex, into, deltaForm, narrow, chunk }) => ({
    canRun: (vdis) => vdis.some(isShown),
    async prepare({ context, exportImage, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isShown), which)
      // Content can be compared only where there is any.
      const bases = narrow === 'always' ? vdis.filter(isShown) : vdis
      const base = pick(bases, baseIndex)
      const [formatName, options] = deltaForm
      const request = { vdiUuid: uuidOf(vdi), baseUuid: uuidOf(base), formatName, options, narrow }
      const image = await exportImage(request)
      const { size, held } = await readImage(formatName, image)
      const label = `${formatName} of ${vdi.name} on ${base.name}`
      expectSameBytes(overlaid(base.bytes, held, size), vdi.bytes, label)
      const targets = vdis.filter((vdi) => isWritable(vdi) && vdi.bytes.length >= size)
      if (targets.length === 0) return undefined
      // One that holds what the base holds, where there is one.
      const alike = targets.filter(({ bytes }) => Buffer.compare(bytes, base.bytes) === 0)
      const target = pick(alike.length > 0 ? alike : targets, into)
      const place = { vdiUuid: uuidOf(target) }
      const holdsNothing = async (vdi: ModelVdi): Promise<boolean> =>
        (await context.catalog.vdis.get(uuidOf(vdi)))!.layerUuid === null
      const imported = { target: place, formatName, replace: false, chunked: false }
      const act = () => importVdi(context, imported, noTask, upload(image, chunk))
      const isMarked = formatName === 'vhd' || options.delta === 'compact'
      if (isMarked && (await holdsNothing(target)) && !(await holdsNothing(base))) {
        await expectNoBase(act())
        return undefined
      }
      return {
        act,
        after: changed(vdis, target.name, { bytes: overlaid(target.bytes, held) }),
      }
    },
  }),
)

const snapshot = stepOf(
  'snapshot',
  fc.record({ which, isTracked: fc.boolean() }),
  ({ which, isTracked }) => ({
    canRun: (vdis) => hasRoom(vdis) && vdis.some(isShown),
    async prepare({ context, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isShown), which)
      const made = newName(vdis)
      const begins = isTracked && !vdi.isSnapshot
      const shown = begins ? { ...vdi, isTracked } : vdi
      return {
        async act() {
          if (begins) await context.catalog.vdis.update(uuidOf(vdi), () => ({ cbtEnabled: true }))
          return snapshotVdi(context, uuidOf(vdi))
        },
        after: [
          ...changed(vdis, vdi.name, shown),
          { ...shown, name: made, isSnapshot: true, snapshotOf: vdi.name },
        ],
        made,
      }
    },
  }),
)

const clone = stepOf('clone', fc.record({ which }), ({ which }) => ({
  canRun: (vdis) => hasRoom(vdis) && vdis.some(isShown),
  async prepare({ context, uuidOf }, vdis) {
    const vdi = pick(vdis.filter(isShown), which)
    const made = newName(vdis)
    return {
      act: () => cloneVdi(context, uuidOf(vdi)),
      after: [...vdis, modelDisk(made, vdi.place, vdi.bytes)],
      made,
    }
  },
}))

const grow = stepOf(
  'grow',
  fc.record({
    which,
    more: fc.constantFrom(SECTOR_SIZE, 4 * KiB, 64 * KiB, MiB + 3 * SECTOR_SIZE),
  }),
  ({ which, more }) => {
    const canGrow = (vdi: ModelVdi): boolean =>
      isWritable(vdi) && vdi.bytes.length + more <= maximumSize
    return {
      canRun: (vdis) => vdis.some(canGrow),
      async prepare({ context, uuidOf }, vdis) {
        const vdi = pick(vdis.filter(canGrow), which)
        const bytes = overlaid(vdi.bytes, [], vdi.bytes.length + more)
        return {
          act: () => resizeVdi(context, uuidOf(vdi), bytes.length),
          after: changed(vdis, vdi.name, { bytes }),
        }
      },
    }
  },
)

const destroy = stepOf('destroy', fc.record({ which }), ({ which }) => ({
  canRun: (vdis) => vdis.length > 0,
  async prepare({ context, uuidOf }, vdis) {
    const { name } = pick(vdis, which)
    return {
      act: () => destroyVdi(context, uuidOf({ name })),
      after: vdis
        .filter((vdi) => vdi.name !== name)
        .map((vdi) => (vdi.snapshotOf === name ? { ...vdi, snapshotOf: null } : vdi)),
    }
  },
}))

const isBaseGiven = fc.boolean()

const copyNew = stepOf(
  'copy',
  fc.record({ which, base: which, isBaseGiven, place }),
  ({ which, base: baseIndex, isBaseGiven, place }) => ({
    canRun: (vdis) => hasRoom(vdis) && vdis.some(isShown),
    async prepare({ context, delta, places, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isShown), which)
      const base = isBaseGiven ? pick(vdis, baseIndex) : undefined
      const held = base === undefined ? [{ offset: 0, bytes: vdi.bytes }] : await delta(vdi, base)
      const request = {
        vdiUuid: uuidOf(vdi),
        baseUuid: base === undefined ? null : uuidOf(base),
        srUuid: places[place],
        intoUuid: null,
      }
      const made = newName(vdis)
      const bytes = overlaid(new Uint8Array(vdi.bytes.length), held)
      return {
        act: () => copyVdi(context, request, noTask),
        after: [...vdis, modelDisk(made, place, bytes)],
        made,
      }
    },
  }),
)

const copyInto = stepOf(
  'copy into',
  fc.record({ which, base: which, isBaseGiven, into: which }),
  ({ which, base: baseIndex, isBaseGiven, into }) => ({
    canRun: (vdis) => vdis.some(isShown) && vdis.some(isWritable),
    async prepare({ context, delta, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isShown), which)
      const targets = vdis.filter(
        (target) => isWritable(target) && target !== vdi && target.bytes.length >= vdi.bytes.length,
      )
      if (targets.length === 0) return undefined
      const target = pick(targets, into)
      const base = isBaseGiven ? pick(vdis, baseIndex) : undefined
      const bytes =
        base === undefined
          ? overlaid(vdi.bytes, [], target.bytes.length)
          : overlaid(target.bytes, await delta(vdi, base))
      const request = {
        vdiUuid: uuidOf(vdi),
        baseUuid: base === undefined ? null : uuidOf(base),
        srUuid: null,
        intoUuid: uuidOf(target),
      }
      return {
        act: () => copyVdi(context, request, noTask),
        after: changed(vdis, target.name, { bytes }),
      }
    },
  }),
)

const migrate = stepOf(
  'migrate',
  fc.record({ which, place, formatName: fc.option(fc.constantFrom(...formatsAtRest)) }),
  ({ which, place, formatName }) => {
    const canMove = ({ hasData, snapshotOf }: ModelVdi): boolean => hasData && snapshotOf === null
    return {
      canRun: (vdis) => vdis.some(canMove),
      async prepare({ context, places, uuidOf }, vdis) {
        const vdi = pick(vdis.filter(canMove), which)
        const family = familyOf(vdis, vdi)
        const request = { vdiUuid: uuidOf(vdi), srUuid: places[place] }
        const asked = formatName === null ? {} : { formatName }
        return {
          act: () => migrateVdi(context, { ...request, ...asked }, noTask),
          after: vdis.map((vdi) => (family.includes(vdi) ? { ...vdi, place } : vdi)),
        }
      },
    }
  },
)

const destroyData = stepOf('destroy the data', fc.record({ which }), ({ which }) => {
  const isMeant = ({ isSnapshot, isTracked, hasData }: ModelVdi): boolean =>
    isSnapshot && isTracked && hasData
  return {
    canRun: (vdis) => vdis.some(isMeant),
    async prepare({ context, uuidOf }, vdis) {
      const vdi = pick(vdis.filter(isMeant), which)
      return {
        act: () => destroyVdiData(context, uuidOf(vdi)),
        after: changed(vdis, vdi.name, { hasData: false }),
      }
    },
  }
})

const changedBlocks = stepOf(
  'changed blocks',
  fc.record({ from: which, to: which }),
  ({ from, to }) => ({
    canRun: (vdis) => vdis.length > 0,
    async prepare({ context, uuidOf }, vdis) {
      const [vdi, base] = [pick(vdis, to), pick(vdis, from)]
      const told = await listChangedBlocks(context, uuidOf(base), uuidOf(vdi))
      const bits = Buffer.from(told.toString(), 'base64')
      const block = 64 * KiB
      const blocks = Math.ceil(vdi.bytes.length / block)
      if (bits.length !== Math.ceil(blocks / 32) * 4) {
        throw new Error(`The bitmap of ${blocks} blocks has ${bits.length} bytes`)
      }
      const below = overlaid(base.bytes, [], vdi.bytes.length)
      for (let index = 0; index < blocks; index += 1) {
        const [at, end] = [index * block, Math.min((index + 1) * block, vdi.bytes.length)]
        const isEqual = Buffer.compare(vdi.bytes.subarray(at, end), below.subarray(at, end)) === 0
        const isTold = ((bits[index >> 3]! >> (7 - (index % 8))) & 1) === 1
        if (isEqual || isTold) continue
        throw new Error(`Block ${index} of VDI ${vdi.name} is not told to differ from ${base.name}`)
      }
      return undefined
    },
  }),
)

const beginReading = stepOf('begin reading', fc.record({ which }), ({ which }) => ({
  canRun: (vdis) => vdis.some(isShown),
  async prepare(host, vdis) {
    await host.beginReading(pick(vdis.filter(isShown), which))
    return undefined
  },
}))

/** Steps that change something, the frequent ones several times. */
export const changingSteps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: create },
  { weight: 10, arbitrary: importInto },
  { weight: 2, arbitrary: importNew },
  { weight: 5, arbitrary: exportDelta },
  { weight: 6, arbitrary: snapshot },
  { weight: 3, arbitrary: clone },
  { weight: 3, arbitrary: grow },
  { weight: 5, arbitrary: destroy },
  { weight: 2, arbitrary: copyNew },
  { weight: 3, arbitrary: copyInto },
  { weight: 4, arbitrary: migrate },
  { weight: 4, arbitrary: destroyData },
)

/** Steps that only look. */
export const lookingSteps: fc.Arbitrary<Step> = fc.oneof(
  exportWhole,
  exportDelta,
  changedBlocks,
  beginReading,
)
