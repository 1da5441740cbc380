// Files in the folder of a storage repository that are taken as VDIs.

import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { forgetVdi } from '../../../src/operations/forget-vdi.ts'
import { introduceVdi } from '../../../src/operations/introduce-vdi.ts'
import { createTestRepositories } from '../../support/repositories.ts'

/** A folder with one image, whose VDI has been forgotten. */
const start = async (deviceConfig: Record<string, string> = {}) => {
  const on = await createTestRepositories()
  const { sr, folder, vdi: file } = await on.createOnFolder(deviceConfig)
  await forgetVdi(on.context, file)
  return { ...on, srUuid: sr.uuid, folder, file }
}

const vdiOf = (uuid: string) => ({
  uuid,
  nameLabel: 'mine',
  nameDescription: '',
  type: 'user',
  sharable: false,
  readOnly: false,
  otherConfig: {},
  xenstoreData: {},
})

describe('a file', () => {
  test.each(['name', 'uuid'])(
    'is found by its %s, and gets the uuid that is asked for',
    async (by) => {
      const { context, catalog, srUuid, file } = await start()
      const uuid = randomUUID()
      const location = by === 'name' ? `${file}.raw` : file.toUpperCase()
      await introduceVdi(context, { srUuid, location, vdi: vdiOf(uuid) })
      expect(await catalog.vdis.get(uuid)).toMatchObject({
        srUuid,
        nameLabel: 'mine',
        format: 'raw',
        virtualSize: 4096,
        readOnly: false,
      })
    },
  )

  test('of a read-only SR makes a read-only VDI', async () => {
    const { context, catalog, srUuid, file } = await start({ 'read-only': 'true' })
    await introduceVdi(context, { srUuid, location: file, vdi: vdiOf(file) })
    expect(await catalog.vdis.get(file)).toMatchObject({ readOnly: true })
  })

  test('takes the fields of the client, or is not introduced', async () => {
    const { context, catalog, srUuid, file } = await start()
    const request = { srUuid, location: file, vdi: vdiOf(file) }
    const change = (): never => {
      throw new AppError('VALUE_NOT_SUPPORTED', ['sm_config:image-format', 'vhd', 'no'])
    }
    const introducing = introduceVdi(context, { ...request, change })
    await expect(introducing).rejects.toMatchObject({ code: 'VALUE_NOT_SUPPORTED' })
    expect(await catalog.vdis.list()).toEqual([])
    await introduceVdi(context, {
      ...request,
      change: ({ format }) => ({ smConfig: { seen: format } }),
    })
    expect(await catalog.vdis.get(file)).toMatchObject({ smConfig: { seen: 'raw' } })
  })
})

test('what is no image in the folder, and what is a VDI already, is refused', async () => {
  const { context, catalog, srUuid, folder, file } = await start()
  const bad = `${randomUUID()}.qcow2`
  await writeFile(join(folder, bad), Buffer.alloc(4096))
  const refused = (uuid: string, location: string, message: string) =>
    expect(introduceVdi(context, { srUuid, location, vdi: vdiOf(uuid) })).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      message: expect.stringContaining(message) as string,
    })
  await refused(file, bad, 'it starts with 0x0')
  await refused(file, `${randomUUID()}.raw`, 'there is no image file of that name')
  await refused(file, '/etc/passwd', 'there is no image file of that name')
  await introduceVdi(context, { srUuid, location: file, vdi: vdiOf(file) })
  await refused(file, file, 'there is a VDI with it already')
  await refused(randomUUID(), file, `it is the content of the VDI ${file} already`)
  expect(await catalog.vdis.uuids()).toEqual([file])
})
