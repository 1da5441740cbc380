import { describe, expect, test } from 'vitest'
import { requireDefaultAllows } from '../../../src/transfer/at-rest-format.ts'
import { TiB } from '../../../src/units.ts'
import { createStartedCatalog, createTestSr } from '../../support/catalogs.ts'

describe('an upload into a new VDI', () => {
  test('too large for the default format: the message says whose it is, and how to make another', async () => {
    const { catalog } = await createStartedCatalog()
    const uuid = await createTestSr(catalog, { defaultFormat: 'vhd' })
    const sr = (await catalog.srs.get(uuid))!
    expect(() => requireDefaultAllows(3 * TiB, sr)).toThrow(
      expect.objectContaining({
        code: 'VDI_TOO_LARGE',
        message: expect.stringMatching(
          new RegExp(
            `^New VDIs in the SR ${uuid} are vhd by default, with at most 2190433320960 bytes \\(2.0 TiB\\), not ${3 * TiB} bytes \\(3 TiB\\): ` +
              'make a VDI with sm_config:image-format=(raw|qcow2) first, and import into it$',
          ),
        ) as string,
      }) as Error,
    )
    expect(() => requireDefaultAllows(TiB, sr)).not.toThrow()
  })

  test('too large for every format: nothing is advised that would not help', async () => {
    const { catalog, srUuid } = await createStartedCatalog()
    const sr = (await catalog.srs.get(srUuid))!
    expect(() => requireDefaultAllows(16 * TiB, sr)).toThrow(
      /at most 17589500641280 bytes, not 17592186044416 bytes \(16 TiB\)$/,
    )
  })
})
