// What ETags depend on.

import { expect, test } from 'vitest'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import { raw } from '../../../../src/formats/raw/raw.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import {
  contentKey,
  contentValidators,
  exportTag,
  latest,
  strongTag,
} from '../../../../src/operations/vdi/validators.ts'
import { MiB } from '../../../../src/units.ts'
import { createTestContent } from '../../../support/content.ts'

const start = async () => {
  const on = await createTestContent()
  const uuid = await on.create()
  await on.write(uuid, 0, 1)
  return { ...on, vdi: await on.get(uuid) }
}

test('a tag tells content, size, base, format and options apart, and names nothing else', async () => {
  const { vdi } = await start()
  const tags = [
    exportTag({ vdi, basis: '' }, raw, {}),
    exportTag({ vdi, basis: '' }, vhd, {}),
    exportTag({ vdi, basis: '' }, vhd, { subformat: 'fixed' }),
    exportTag({ vdi, basis: '' }, vhd, { delta: 'compact' }),
    exportTag({ vdi, basis: 'digest' }, vhd, { delta: 'compact' }),
    exportTag({ vdi, baseVdi: vdi, basis: '' }, vhd, {}),
    exportTag({ vdi: { ...vdi, contentUuid: null }, basis: '' }, raw, {}),
    exportTag({ vdi: { ...vdi, virtualSize: 512 }, basis: '' }, raw, {}),
    exportTag({ vdi: { ...vdi, virtualSize: 512 }, basis: '' }, raw, { sizeUnit: MiB }),
  ]
  expect(new Set(tags).size).toBe(tags.length)
  expect(exportTag({ vdi: { ...vdi, nameLabel: 'other' }, basis: '' }, raw, {})).toBe(tags[0])
})

test('conditions are held against all exports of a VDI, and the time of its last change', async () => {
  const { vdi } = await start()
  const { etags, changedAt } = contentValidators(vdi)
  for (const subformat of ['dynamic', 'fixed'] as const) {
    expect(etags).toContain(exportTag({ vdi, basis: '' }, vhd, { subformat }))
  }
  expect(etags).toContain(exportTag({ vdi, basis: '' }, raw, {}))
  const odd = { ...vdi, virtualSize: 512 }
  const azure = { subformat: 'fixed', sizeUnit: MiB }
  expect(contentValidators(odd).etags).toContain(exportTag({ vdi: odd, basis: '' }, vhd, azure))
  expect(new Set(etags).size).toBe(etags.length)
  expect(changedAt.getTime()).toBeGreaterThanOrEqual(vdi.changedAt.getTime())
})

test('a tag is quoted, and the same for the same parts', () => {
  expect(strongTag(['a', 1])).toMatch(/^"[\w-]{32}"$/)
  expect(strongTag(['a', 1])).toBe(strongTag(['a', 1]))
  expect(strongTag(['a', 1])).not.toBe(strongTag(['a1']))
  expect(strongTag([contentKey(undefined)])).toBe(strongTag([[null, null, null]]))
  expect(latest([new Date(2), new Date(3), new Date(1)])).toEqual(new Date(3))
})

test('the tag of what is compressed is weak, and one that conditions know', async () => {
  const { vdi } = await start()
  const tags = ['zlib', 'zstd'].map((compression) =>
    exportTag({ vdi, basis: '' }, qcow2, { compression }),
  )
  for (const tag of tags) expect(tag).toMatch(/^W\/"[\w-]{32}"$/)
  expect(new Set(tags).size).toBe(2)
  expect(contentValidators(vdi).etags).toEqual(expect.arrayContaining(tags))
})
