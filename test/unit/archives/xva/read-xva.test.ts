// ova.xml of many objects is read in the time that they take, each once.

import { expect, test } from 'vitest'
import { readXva } from '../../../../src/archives/xva/read-xva.ts'
import { readXml } from '../../../../src/archives/xml.ts'
import { ovaXmlOf, xvaObjects } from '../../../support/archives.ts'
import type { XvaObject } from '../../../support/archives.ts'

const read = async (objects: readonly XvaObject[]) =>
  readXva(
    await readXml(
      (async function* chunks() {
        yield Buffer.from(ovaXmlOf(objects))
      })(),
      'x',
    ),
  )

test('each VM has its own devices, in the order of their positions', async () => {
  const objects = xvaObjects({ 'Ref:2': 512, 'Ref:7': 1024 })
  const other = xvaObjects({ 'Ref:2': 512 }).flatMap((object) => {
    if (object.class === 'VM') return [{ ...object, id: 'Ref:900' }]
    if (object.class !== 'VBD') return []
    return [{ ...object, id: `${object.id}9`, snapshot: { ...object.snapshot, VM: 'Ref:900' } }]
  })
  const { vms, disks, notes } = await read([...objects.toReversed(), ...other])
  expect(disks.map(({ id, size }) => [id, size])).toEqual([
    ['Ref:7', 1024],
    ['Ref:2', 512],
  ])
  const devices = vms.map(({ id, vbds, interfaces }) => [
    id,
    vbds.map(({ position, diskId }) => `${position} ${diskId}`),
    interfaces.length,
  ])
  expect(devices).toEqual([
    ['Ref:0', ['0 Ref:2', '1 Ref:7', '3 null'], 1],
    ['Ref:900', ['0 Ref:2', '3 null'], 0],
  ])
  expect(notes).toEqual([])
})

test('what is left out of a suspended VM with a medium is said', async () => {
  const objects = xvaObjects({ 'Ref:2': 512 }, { power_state: 'Suspended' }).map((object) =>
    object.id === 'Ref:200'
      ? { ...object, snapshot: { ...object.snapshot, empty: false } }
      : object,
  )
  const { notes } = await read(objects)
  expect(notes).toEqual(['a suspended VM comes as if it were shut down', 'CD drives come empty'])
})
