import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import {
  createStartedCatalog,
  createTestCatalog,
  createTestVdi,
  testCatalogPath,
} from '../../support/catalogs.ts'

test.each([
  ['vdis', 'format'],
  ['vdis', 'requested_format'],
  ['srs', 'default_format'],
])('a catalog with another format in %s.%s is refused by its name', async (table, column) => {
  const path = await testCatalogPath()
  const { catalog, srUuid } = await createStartedCatalog(path)
  await createTestVdi(catalog, srUuid)
  await catalog.close()
  const beside = new DatabaseSync(path)
  beside.exec(`update ${table} set ${column} = 'toy'`)
  beside.close()
  await expect(createTestCatalog(path)).rejects.toThrow(
    'it has disks in toy, this version knows raw, vhd, qcow2',
  )
})
