import { expect, test } from 'vitest'
import { createFormatsRoute } from '../../../routes/formats.ts'
import { formatNames, formatTable } from '../../../src/format-table.ts'

interface Answer {
  readonly formats: readonly (Record<string, unknown> & { readonly name: string })[]
  readonly compressions: readonly { readonly name: string }[]
  readonly places: readonly Record<string, unknown>[]
  readonly archives: readonly unknown[]
}

test('each format of the table is told, with what it can carry', async () => {
  const response = await createFormatsRoute().request('/formats')
  expect(response.status).toBe(200)
  const { formats, compressions, places, archives } = (await response.json()) as Answer
  expect(formats.map(({ name }) => name)).toEqual(formatNames)
  expect(formats.find(({ name }) => name === 'vhd')).toEqual({
    name: 'vhd',
    endings: ['vhd'],
    media_type: 'application/vhd',
    qemu_name: 'vpc',
    maximum_size: 2040 * 2 ** 30,
    imports: { deltas: true },
    exports: {
      deltas: true,
      kinds: [
        { subformat: 'dynamic', content_length: true, ranges: true },
        { subformat: 'fixed', content_length: true, ranges: true },
      ],
      compressions: [],
    },
    holds_vdis: true,
  })
  const kinds = [{ subformat: null, content_length: true, ranges: true }]
  expect(formats.find(({ name }) => name === 'raw')).toMatchObject({ exports: { kinds } })
  expect(formats.find(({ name }) => name === 'qcow2')).toMatchObject({
    exports: { compressions: ['zlib', 'zstd'] },
  })
  for (const { name, media_type } of formats) {
    expect(media_type).toBe(formatTable[name as keyof typeof formatTable].mediaType)
  }
  expect(archives).toEqual([
    { name: 'ova', imports: true, exports: true },
    { name: 'xva', imports: true, exports: false },
  ])
  expect(places).toContainEqual({
    name: 'azure',
    format: 'vhd',
    subformat: 'fixed',
    size_unit: 2 ** 20,
  })
  expect(places).toContainEqual({
    name: 'libvirt',
    format: 'qcow2',
    subformat: null,
    size_unit: 512,
  })
  expect(compressions.map(({ name }) => name)).toEqual(['gzip', 'zstd', 'xz', 'bzip2'])
})
