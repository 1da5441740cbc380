// A move inside one server: the layers of the disks are copied as VDI.pool_migrate does it, and one
// transaction puts all disks on the copies.

import type { MoveVdis } from '../../catalog/move-vdis.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { Work } from '../../transfer/copy-disk.ts'
import { copyLayers } from '../../transfer/copy-layers.ts'
import type { TaskHandle } from '../../transfer/with-task.ts'
import type { OperationContext } from '../context.ts'
import type { Machine } from './machine.ts'
import type { Place } from './wire.ts'

interface Group {
  readonly place: Place
  readonly vdis: VdiRow[]
}

/** On a throw all is where it was and nothing is left behind. */
export const moveHere = async (
  context: OperationContext,
  { machine, places }: { readonly machine: Machine; readonly places: readonly Place[] },
  { task, ...work }: Work & { readonly task: TaskHandle },
): Promise<void> => {
  const { catalog, storage } = context
  const { contents, upkeep } = storage
  const groups = groupByPlace(machine, places)
  const uuids = groups.flatMap(({ vdis }) => vdis.map(({ uuid }) => uuid))
  // Files that others have changed are looked at again: the layers are copied as the catalog knows
  // them.
  for (const uuid of uuids) {
    const { disk } = await contents.openRuns(uuid)
    await disk.close()
  }
  const pinned = await contents.pinVdis(uuids)
  const present = new Map(pinned.vdis.map(({ vdi }) => [vdi.uuid, vdi] as const))
  const releases = [pinned.release]
  try {
    const moves: MoveVdis[] = []
    for (const [index, { place, vdis }] of groups.entries()) {
      const rows = vdis.map(({ uuid }) => present.get(uuid)!)
      const tops = rows.flatMap(({ layerUuid }) => layerUuid ?? [])
      const copies = await copyLayers(context, tops, {
        ...place,
        ...work,
        task: partOf(task, index, groups.length),
      })
      releases.push(copies.release)
      moves.push({
        ...place,
        vdis: rows.map((vdi) => ({
          vdi,
          layerUuid: vdi.layerUuid === null ? null : copies.copyOf.get(vdi.layerUuid)!,
        })),
      })
    }
    await catalog.vdis.move(moves, task.ref, machine.vm.uuid)
  } finally {
    for (const release of releases) release()
    const touched = [...present.values(), ...groups.map(({ place }) => place)]
    for (const srUuid of new Set(touched.map((at) => at.srUuid))) upkeep.collect(srUuid)
  }
}

/** A disk that lies there already with all its snapshots stays as it is. */
const groupByPlace = (machine: Machine, places: readonly Place[]): Group[] => {
  const vdis = [...machine.vdis.values()]
  const moving = new Set(
    vdis.flatMap((vdi, index) => {
      const { srUuid, format } = places[index]!
      return vdi.srUuid === srUuid && vdi.format === format ? [] : [diskOf(machine, vdi)]
    }),
  )
  const groups = new Map<string, Group>()
  for (const [index, vdi] of vdis.entries()) {
    const place = places[index]!
    if (!moving.has(diskOf(machine, vdi))) continue
    const key = JSON.stringify(place)
    const group = groups.get(key) ?? { place, vdis: [] }
    group.vdis.push(vdi)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** The uuid of the disk that it is a snapshot of, or of a snapshot of it. */
const diskOf = ({ vdis }: Machine, vdi: VdiRow): string => {
  const seen = new Set<string>()
  let at = vdi
  while (at.snapshotOfUuid !== null && !seen.has(at.uuid)) {
    seen.add(at.uuid)
    const disk = vdis.get(at.snapshotOfUuid)
    if (disk === undefined) break
    at = disk
  }
  return at.uuid
}

const partOf = (task: TaskHandle, index: number, count: number): TaskHandle => ({
  ...task,
  ref: task.ref,
  report: (fraction) => task.report((index + fraction) / count),
})
