// What is done for a task and the task's outcome are one transaction: whichever comes first, the
// deed or the cancelling, wins, and both say the same, also after a crash.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import type { Catalog } from '../../../../src/catalog/catalog.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import {
  addLayer,
  beginLayer,
  createStartedCatalog,
  createTestCatalog,
  createTestSr,
  createTestVdi,
  testCatalogPath,
} from '../../../support/catalogs.ts'

const start = async (path?: string) => {
  const { catalog, srUuid } = await createStartedCatalog(path)
  const vdi = await createTestVdi(catalog, srUuid)
  await addLayer(catalog, vdi.uuid)
  const ref = await catalog.tasks.create({ nameLabel: 'deed', userUuid: null })
  await catalog.tasks.take(ref)
  return { catalog, srUuid, vdiUuid: vdi.uuid, ref }
}

type Started = Awaited<ReturnType<typeof start>>

/** All that clients see of disks. */
const shown = async (catalog: Catalog) => JSON.stringify(await catalog.vdis.list())

/** Each changes what clients see, with the task of `start`; the result that the task then has. */
const deeds: [string, (started: Started) => Promise<string>][] = [
  [
    'an import into a VDI',
    async ({ catalog, srUuid, vdiUuid, ref }) => {
      const vdi = (await catalog.vdis.get(vdiUuid))!
      const parentUuid = vdi.layerUuid
      const uuid = await beginLayer(catalog, srUuid, { parentUuid })
      const commit = { uuid, vdiUuid, expectedLayerUuid: parentUuid, parentUuid, fileSize: MiB }
      await catalog.layers.commit({ ...commit, taskRef: ref })
      return `<value>OpaqueRef:${vdiUuid}</value>`
    },
  ],
  [
    'an import that makes a VDI',
    async ({ catalog, srUuid, ref }) => {
      const layer = await beginLayer(catalog, srUuid)
      const uuid = randomUUID()
      const vdi = { uuid, srUuid, virtualSize: GiB, format: 'qcow2' } as const
      await catalog.layers.commitNew({ uuid: layer, parentUuid: null, fileSize: MiB }, vdi, ref)
      return `<value>OpaqueRef:${uuid}</value>`
    },
  ],
  [
    'VDI.create',
    async ({ catalog, srUuid, ref }) => {
      const { uuid } = await catalog.vdis.create({ srUuid, virtualSize: GiB, format: 'raw' }, ref)
      return `<value>OpaqueRef:${uuid}</value>`
    },
  ],
  [
    'a snapshot',
    async ({ catalog, vdiUuid, ref }) => {
      const rowOf = (source: object) => ({ ...source, uuid: randomUUID() }) as never
      const { uuid } = await catalog.vdis.derive(vdiUuid, rowOf, ref)
      return `<value>OpaqueRef:${uuid}</value>`
    },
  ],
  [
    'a change of size',
    async ({ catalog, vdiUuid, ref }) => {
      await catalog.vdis.resize(vdiUuid, 2 * GiB, ref)
      return ''
    },
  ],
  [
    'VDI.destroy',
    async ({ catalog, vdiUuid, ref }) => {
      await catalog.vdis.destroy(vdiUuid, ref)
      return ''
    },
  ],
  [
    'a migration',
    async ({ catalog, vdiUuid, ref }) => {
      const srUuid = await createTestSr(catalog)
      const layerUuid = await beginLayer(catalog, srUuid)
      await catalog.layers.seal({ uuid: layerUuid, parentUuid: null, fileSize: MiB })
      const vdi = (await catalog.vdis.get(vdiUuid))!
      const target = { srUuid, format: 'raw', requestedFormat: null } as const
      await catalog.vdis.move([{ ...target, vdis: [{ vdi, layerUuid }] }], ref, vdi.uuid)
      return `<value>OpaqueRef:${vdiUuid}</value>`
    },
  ],
]

describe.each(deeds)('%s', (_name, act) => {
  it('is over when its task is: a kill right after it leaves success over the new content', async () => {
    const path = await testCatalogPath()
    const started = await start(path)
    const before = await shown(started.catalog)
    const result = await act(started)
    const after = await shown(started.catalog)
    expect(after).not.toBe(before)
    await started.catalog.close()
    const restarted = await createTestCatalog(path)
    expect(await restarted.tasks.recover()).toMatchObject({ failed: 0 })
    expect(await restarted.tasks.get(started.ref)).toMatchObject({
      status: 'success',
      progress: 1,
      result,
      finishedAt: expect.any(Date) as Date,
    })
    expect(await shown(restarted)).toBe(after)
  })

  it('changes nothing once its task was told to stop', async () => {
    const started = await start()
    const { catalog, ref } = started
    const before = await shown(catalog)
    await catalog.tasks.cancelling(ref)
    await expect(act(started)).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: [ref] })
    expect(await shown(catalog)).toBe(before)
    expect(await catalog.tasks.get(ref)).toMatchObject({ status: 'cancelling', result: '' })
  })

  it('changes nothing once its client has called it a failure', async () => {
    const started = await start()
    const { catalog, ref } = started
    const before = await shown(catalog)
    await catalog.tasks.setStatus(ref, 'failure')
    await expect(act(started)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' })
    expect(await shown(catalog)).toBe(before)
  })

  it('cannot be cancelled afterwards', async () => {
    const started = await start()
    const { catalog, ref } = started
    const result = await act(started)
    await catalog.tasks.cancelling(ref)
    await catalog.tasks.cancel(ref)
    await catalog.tasks.fail(ref, new AppError('INTERNAL_ERROR', ['late']))
    expect(await catalog.tasks.get(ref)).toMatchObject({ status: 'success', result, errorInfo: [] })
  })

  it('does not need a task that its client has destroyed', async () => {
    const started = await start()
    const before = await shown(started.catalog)
    await started.catalog.tasks.destroy(started.ref)
    await act(started)
    expect(await shown(started.catalog)).not.toBe(before)
  })

  it('tells those who watch the task', async () => {
    const started = await start()
    const told: string[] = []
    started.catalog.changes.subscribe(({ className, uuid }) => told.push(`${className} ${uuid}`))
    await act(started)
    expect(told).toContain(`task ${started.ref.slice('OpaqueRef:'.length)}`)
  })
})

describe('a deed that fails', () => {
  it('leaves its task pending', async () => {
    const { catalog, srUuid, vdiUuid, ref } = await start()
    const uuid = await beginLayer(catalog, srUuid)
    const commit = { uuid, vdiUuid, expectedLayerUuid: null, parentUuid: null, fileSize: MiB }
    await expect(catalog.layers.commit({ ...commit, taskRef: ref })).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    })
    expect(await catalog.tasks.get(ref)).toMatchObject({ status: 'pending', result: '' })
  })
})

describe('a merge', () => {
  it('whose file is in place is a success, even if its task was told to stop too late', async () => {
    const { catalog, srUuid, vdiUuid, ref } = await start()
    await addLayer(catalog, vdiUuid)
    const top = (await catalog.vdis.get(vdiUuid))!.layerUuid!
    const run = await catalog.layers.chain(top)
    await catalog.tasks.cancelling(ref)
    const task = { ref, result: '<value>7</value>' }
    expect(await catalog.coalescing.rebase({ run, fileSize: MiB, task })).toBe(true)
    expect(await catalog.layers.chain(top)).toHaveLength(1)
    expect(await catalog.tasks.get(ref)).toMatchObject({
      status: 'success',
      result: '<value>7</value>',
    })
    expect(await catalog.layers.list(srUuid)).toHaveLength(2)
  })
})
