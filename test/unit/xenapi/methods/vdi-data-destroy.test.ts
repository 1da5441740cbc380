import { describe, expect, it } from 'vitest'
import { createTestApi, createVdi } from '../../../support/xenapi.ts'

const createSnapshot = async (more: { cbtEnabled?: boolean; isSnapshot?: boolean } = {}) => {
  const api = await createTestApi()
  const disk = (await createVdi(api)).replace('OpaqueRef:', '')
  const row = (await api.catalog.vdis.get(disk))!
  const { uuid } = await api.catalog.vdis.create({
    srUuid: row.srUuid,
    virtualSize: row.virtualSize,
    format: row.format,
    isSnapshot: true,
    snapshotOfUuid: disk,
    cbtEnabled: true,
    ...more,
  })
  return { ...api, api, uuid, ref: `OpaqueRef:${uuid}` }
}

describe('VDI.data_destroy', () => {
  it('makes a snapshot one that only tells what has changed; twice is fine', async () => {
    const { call, ref } = await createSnapshot()
    await call('VDI.data_destroy', ref)
    expect(await call('VDI.get_type', ref)).toBe('cbt_metadata')
    await call('VDI.data_destroy', ref)
  })

  it.each([
    [
      'no snapshot',
      { isSnapshot: false },
      'OPERATION_NOT_ALLOWED',
      (ref: string) => [`VDI is not a snapshot: ${ref}`],
    ],
    [
      'without tracked blocks',
      { cbtEnabled: false },
      'VDI_NO_CBT_METADATA',
      (ref: string) => [ref],
    ],
  ] as const)('%s: refused', async (_name, more, code, params) => {
    const { call, ref } = await createSnapshot(more)
    await expect(call('VDI.data_destroy', ref)).rejects.toMatchObject({ code, params: params(ref) })
    expect(await call('VDI.get_type', ref)).toBe('user')
  })

  it('an unknown VDI and one in use are refused', async () => {
    const { call, ref, uuid, leases } = await createSnapshot()
    const unknown = 'OpaqueRef:00000000-0000-4000-8000-000000000000'
    await expect(call('VDI.data_destroy', unknown)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
    leases.take(uuid, 'another import')
    await expect(call('VDI.data_destroy', ref)).rejects.toMatchObject({ code: 'VDI_IN_USE' })
  })

  it('is offered, and needs a vm-admin', async () => {
    const { dispatcher, loginAs, ref } = await createSnapshot()
    const listed = await dispatcher.call({ method: 'system.listMethods', params: [] })
    expect(listed).toContain('VDI.data_destroy')
    const session = await loginAs('vm-operator')
    const call = dispatcher.call({ method: 'VDI.data_destroy', params: [session, ref] })
    await expect(call).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
  })
})
