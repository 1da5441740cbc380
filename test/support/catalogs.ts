// Catalogs for tests: in memory or in a file, with a clock that the test moves and cheap hashes.

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { bootstrap } from '../../src/catalog/bootstrap.ts'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { createCatalog } from '../../src/catalog/catalog.ts'
import type { NewLayer } from '../../src/catalog/layers/layers.ts'
import type { SrTable } from '../../src/catalog/schema.ts'
import { GiB, MiB } from '../../src/units.ts'
import { createTestFolder } from './tools.ts'

/** scrypt at its cheapest: a test hashes in microseconds. */
export const cheapPasswords = { N: 2, r: 1, p: 1 }

export interface TestClock {
  readonly now: () => Date
  /** Moves the clock on by so many milliseconds. */
  advance(milliseconds: number): void
}

/** Starts at 2025-06-01 12:00 UTC and stands still. */
export const createTestClock = (): TestClock => {
  let time = Date.UTC(2025, 5, 1, 12)
  return {
    now: () => new Date(time),
    advance(milliseconds) {
      time += milliseconds
    },
  }
}

/** A catalog that closes with the test. */
export const createTestCatalog = async (
  path = ':memory:',
  clock: TestClock = createTestClock(),
): Promise<Catalog> => {
  const catalog = await createCatalog(path, { now: clock.now, passwordCost: cheapPasswords })
  onTestFinished(() => catalog.close())
  return catalog
}

/** The path for a catalog in a folder that goes with the test. */
export const testCatalogPath = async (): Promise<string> =>
  join(await createTestFolder(), 'catalog.db')

export const ROOT_PASSWORD = 'correct horse battery staple'

/** A catalog as after the first start. */
export const createStartedCatalog = async (path?: string, clock?: TestClock) => {
  const catalog = await createTestCatalog(path, clock)
  const started = await bootstrap(catalog, { hostname: 'testhost', rootPassword: ROOT_PASSWORD })
  return { catalog, ...started }
}

/** A second storage repository, whose default format is raw. */
export const createTestSr = async (
  catalog: Catalog,
  more: Partial<SrTable> = {},
): Promise<string> => {
  const fixed = {
    type: 'file',
    contentType: 'user',
    shared: false,
    path: '',
    defaultFormat: 'raw',
    smConfig: {},
    deviceConfig: {},
    readOnly: false,
    tags: [],
  } as const
  return (await catalog.srs.create({ ...fixed, ...more })).uuid
}

/** A layer that is being written, of 1 GiB. */
export const beginLayer = async (
  catalog: Catalog,
  srUuid: string,
  layer: Partial<NewLayer> = {},
): Promise<string> => {
  const uuid = randomUUID()
  const fixed = { uuid, srUuid, parentUuid: null, format: 'qcow2', virtualSize: GiB } as const
  await catalog.layers.begin({ ...fixed, createdAt: new Date(), ...layer })
  return layer.uuid ?? uuid
}

/** A VDI of 1 GiB without content. */
export const createTestVdi = (catalog: Catalog, srUuid: string, nameLabel = 'disk') =>
  catalog.vdis.create({ srUuid, nameLabel, virtualSize: GiB, format: 'qcow2' })

/** Writes and commits a new top layer of the VDI, on the one it has; the layer's uuid. */
export const addLayer = async (catalog: Catalog, vdiUuid: string): Promise<string> => {
  const vdi = (await catalog.vdis.get(vdiUuid))!
  const parentUuid = vdi.layerUuid
  const uuid = await beginLayer(catalog, vdi.srUuid, { parentUuid })
  await catalog.layers.commit({
    uuid,
    vdiUuid,
    expectedLayerUuid: parentUuid,
    parentUuid,
    fileSize: 3 * MiB,
  })
  return uuid
}
