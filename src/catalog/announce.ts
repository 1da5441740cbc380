// The parts of the catalog with their changes told: one wrapper for each part, which does the work
// first and tells of it then. What a client sees of a neighbour (the VDIs of an SR, the snapshots
// of a VDI) counts as a change of the neighbour too.

import { randomUUID } from 'node:crypto'
import type { Changes, ObservedClass } from './changes.ts'
import type { Coalescing } from './layers/coalescing.ts'
import type { KeptMaps } from './layers/kept-maps.ts'
import type { Forget } from './forget.ts'
import type { Layers } from './layers/layers.ts'
import { createNewsInterval } from './tasks/news-interval.ts'
import type { Pools } from './pools.ts'
import { refToUuid } from '../refs.ts'
import type { ScannedFiles } from './layers/scanned-files.ts'
import type { Tasks } from './tasks/tasks.ts'
import type { Users } from './users/users.ts'
import type { VdiRow, Vdis } from './vdis.ts'

/** Between two news of the progress of one task, in milliseconds. */
const PROGRESS_INTERVAL = 1000

export const announceNamed = <
  Objects extends {
    create(object: never): Promise<{ readonly uuid: string }>
    update(uuid: string, change: never): Promise<void>
  },
>(
  className: ObservedClass,
  objects: Objects,
  { emit }: Changes,
): Objects => ({
  ...objects,
  async create(object: never) {
    const row = await objects.create(object)
    emit(className, row.uuid, 'add')
    return row
  },
  async update(uuid: string, change: never) {
    await objects.update(uuid, change)
    emit(className, uuid, 'mod')
  },
})

export const announceVdis = (vdis: Vdis, { emit }: Changes): Vdis => ({
  ...vdis,
  async create(vdi, taskRef) {
    const row = announceNew(await vdis.create(vdi, taskRef), emit)
    announceTask(taskRef, emit)
    return row
  },
  async derive(uuid, rowOf, taskRef) {
    const row = announceNew(await vdis.derive(uuid, rowOf, taskRef), emit)
    announceTask(taskRef, emit)
    return row
  },
  async resize(uuid, virtualSize, taskRef) {
    const row = await vdis.get(uuid)
    await vdis.resize(uuid, virtualSize, taskRef)
    announceTask(taskRef, emit)
    emit('VDI', uuid, 'mod')
    if (row !== undefined) emit('SR', row.srUuid, 'mod')
  },
  async move(move) {
    await vdis.move(move)
    announceTask(move.taskRef, emit)
    for (const { vdi } of move.vdis) emit('VDI', vdi.uuid, 'mod')
    const srUuids = move.vdis.map(({ vdi }) => vdi.srUuid)
    for (const srUuid of new Set([...srUuids, move.srUuid])) emit('SR', srUuid, 'mod')
  },
  async update(uuid, change) {
    await vdis.update(uuid, change)
    emit('VDI', uuid, 'mod')
  },
  async destroy(uuid, taskRef) {
    const row = await vdis.get(uuid)
    const snapshots = await vdis.snapshotsOf(uuid)
    await vdis.destroy(uuid, taskRef)
    announceTask(taskRef, emit)
    emit('VDI', uuid, 'del')
    if (row === undefined) return
    emit('SR', row.srUuid, 'mod')
    for (const snapshot of snapshots) emit('VDI', snapshot.uuid, 'mod')
    if (row.snapshotOfUuid !== null) emit('VDI', row.snapshotOfUuid, 'mod')
  },
})

/** The task has ended with the deed that was told just now. */
const announceTask = (taskRef: string | undefined, emit: Changes['emit']): void => {
  const uuid = refToUuid(taskRef ?? '')
  if (uuid !== undefined) emit('task', uuid, 'mod')
}

const announceNew = (row: VdiRow, emit: Changes['emit']): VdiRow => {
  emit('VDI', row.uuid, 'add')
  emit('SR', row.srUuid, 'mod')
  if (row.snapshotOfUuid !== null) emit('VDI', row.snapshotOfUuid, 'mod')
  return row
}

export const announceLayers = (layers: Layers, vdis: Vdis, { emit }: Changes): Layers => ({
  ...layers,
  async commit(commit) {
    // Before: what fails after it would make a failure of what is done.
    const vdi = await vdis.get(commit.vdiUuid)
    await layers.commit(commit)
    announceTask(commit.taskRef, emit)
    emit('VDI', commit.vdiUuid, 'mod')
    if (vdi !== undefined) emit('SR', vdi.srUuid, 'mod')
  },
  async commitNew(commit, vdi, taskRef) {
    const { uuid = randomUUID() } = vdi
    await layers.commitNew(commit, { ...vdi, uuid }, taskRef)
    announceTask(taskRef, emit)
    emit('VDI', uuid, 'add')
    emit('SR', vdi.srUuid, 'mod')
  },
  async remove(uuid) {
    const layer = await layers.get(uuid)
    await layers.remove(uuid)
    if (layer !== undefined) emit('SR', layer.srUuid, 'mod')
  },
})

/** The VDIs on these layers take another amount of room. */
const tellVdisOn = async (
  layerUuids: readonly string[],
  vdis: Vdis,
  { emit }: Changes,
): Promise<void> => {
  for (const { uuid, layerUuid } of await vdis.list()) {
    if (layerUuid !== null && layerUuids.includes(layerUuid)) emit('VDI', uuid, 'mod')
  }
}

export const announceCoalescing = (
  coalescing: Coalescing,
  vdis: Vdis,
  changes: Changes,
): Coalescing => ({
  ...coalescing,
  async rebase(rebase) {
    const happened = await coalescing.rebase(rebase)
    if (!happened) return false
    announceTask(rebase.task?.ref, changes.emit)
    await tellVdisOn([rebase.run[0]!.uuid], vdis, changes)
    return true
  },
})

export const announceKeptMaps = (keptMaps: KeptMaps, vdis: Vdis, changes: Changes): KeptMaps => ({
  ...keptMaps,
  async destroyData(vdiUuid) {
    await keptMaps.destroyData(vdiUuid)
    changes.emit('VDI', vdiUuid, 'mod')
  },
  async dropData(srUuid, pinned, uuids) {
    const dropped = await keptMaps.dropData(srUuid, pinned, uuids)
    if (dropped.length === 0) return dropped
    await tellVdisOn(
      dropped.map(({ uuid }) => uuid),
      vdis,
      changes,
    )
    changes.emit('SR', srUuid, 'mod')
    return dropped
  },
})

export const announceScannedFiles = (files: ScannedFiles, { emit }: Changes): ScannedFiles => ({
  async apply(contents) {
    const applied = await files.apply(contents)
    for (const uuid of applied.added) emit('VDI', uuid, 'add')
    for (const uuid of applied.changed) emit('VDI', uuid, 'mod')
    emit('SR', contents.srUuid, 'mod')
    return applied
  },
})

export const announceForget = (
  forget: Forget,
  { vdis, pools }: { readonly vdis: Vdis; readonly pools: Pools },
  { emit }: Changes,
): Forget => ({
  async vdi(uuid) {
    const row = await vdis.get(uuid)
    const snapshots = await vdis.snapshotsOf(uuid)
    await forget.vdi(uuid)
    emit('VDI', uuid, 'del')
    for (const snapshot of snapshots) emit('VDI', snapshot.uuid, 'mod')
    if (row !== undefined) emit('SR', row.srUuid, 'mod')
  },
  async sr(uuid) {
    const users = (await pools.list()).filter((pool) => pool.defaultSrUuid === uuid)
    const forgotten = await forget.sr(uuid)
    for (const vdi of forgotten) emit('VDI', vdi, 'del')
    emit('SR', uuid, 'del')
    for (const pool of users) emit('pool', pool.uuid, 'mod')
    return forgotten
  },
})

/** @returns the tasks, and what ends the news that are still to come */
export const announceTasks = (
  tasks: Tasks,
  { emit }: Changes,
): { readonly tasks: Tasks; readonly close: () => void } => {
  const changed = (ref: string): void => {
    const uuid = refToUuid(ref)
    if (uuid !== undefined) emit('task', uuid, 'mod')
  }
  const progress = createNewsInterval(PROGRESS_INTERVAL, changed)
  const announced: Tasks = {
    ...tasks,
    async create(task) {
      const ref = await tasks.create(task)
      emit('task', refToUuid(ref)!, 'add')
      if (task.subtaskOf !== undefined) changed(task.subtaskOf)
      return ref
    },
    async adopt(task) {
      await tasks.adopt(task)
      emit('task', task.uuid, 'add')
    },
    setProgress(ref, fraction) {
      tasks.setProgress(ref, fraction)
      progress.tell(ref)
    },
    succeed: (ref, result) => tasks.succeed(ref, result).then(() => changed(ref)),
    fail: (ref, error) => tasks.fail(ref, error).then(() => changed(ref)),
    cancelling: (ref) => tasks.cancelling(ref).then(() => changed(ref)),
    cancel: (ref) => tasks.cancel(ref).then(() => changed(ref)),
    setStatus: (ref, status) => tasks.setStatus(ref, status).then(() => changed(ref)),
    update: (ref, change) => tasks.update(ref, change).then(() => changed(ref)),
    async destroy(ref) {
      const subtasks = await tasks.subtasksOf(ref)
      const task = await tasks.get(ref)
      await tasks.destroy(ref)
      if (task === undefined) return
      emit('task', task.uuid, 'del')
      for (const subtask of subtasks) changed(subtask.uuid)
      if (task.subtaskOfUuid !== null) changed(task.subtaskOfUuid)
    },
  }
  return { tasks: announced, close: () => progress.close() }
}

export const announceUsers = (users: Users, { emit }: Changes): Users => ({
  ...users,
  async create(user) {
    const row = await users.create(user)
    emit('user', row.uuid, 'add')
    return row
  },
  async setRole(uuid, role) {
    await users.setRole(uuid, role)
    emit('user', uuid, 'mod')
  },
  async destroy(uuid) {
    await users.destroy(uuid)
    emit('user', uuid, 'del')
  },
})
