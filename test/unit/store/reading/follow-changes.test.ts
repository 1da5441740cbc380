// VDIs whose files change while they are opened: tried again, a bounded number of times.

import { describe, expect, test } from 'vitest'
import { ChangedFileError } from '../../../../src/store/files/file-stamp.ts'
import type { Scanner } from '../../../../src/store/scanning/scan-folder.ts'
import { followChanges } from '../../../../src/store/reading/follow-changes.ts'
import type { PinnedVdis } from '../../../../src/store/reading/pin-vdis.ts'

/** A VDI of one storage repository; counts what is pinned, and which files are looked at again. */
const start = (problems: ReadonlyMap<string, string> = new Map()) => {
  let pinned = 0
  const renewed: string[] = []
  const scanner = {
    async renew(srUuid: string, fileName?: string) {
      renewed.push(`${srUuid} ${fileName}`)
      return { added: [], changed: [], problems }
    },
    problems: () => problems,
  } as Pick<Scanner, 'renew' | 'problems'> as Scanner
  const pin = async () => {
    pinned += 1
    const vdis = [{ vdi: { srUuid: 'sr' } }, { vdi: { srUuid: 'sr' } }]
    return { vdis, release: () => (pinned -= 1) } as unknown as PinnedVdis
  }
  return { scanner, pin, renewed, pinned: () => pinned }
}

const changed = (): Error => new ChangedFileError('disk.raw', 'it has grown')

describe('VDIs', () => {
  test('that open at once are pinned until they are closed', async () => {
    const { scanner, pin, renewed, pinned } = start()
    expect(await followChanges(scanner, pin, async () => 'opened')).toBe('opened')
    expect([pinned(), renewed]).toEqual([1, []])
  })

  test('whose file has changed are opened as they are now', async () => {
    const { scanner, pin, renewed, pinned } = start()
    let attempts = 0
    const open = async () => {
      attempts += 1
      if (attempts < 3) throw changed()
      return attempts
    }
    expect(await followChanges(scanner, pin, open)).toBe(3)
    expect([pinned(), renewed]).toEqual([1, ['sr disk.raw', 'sr disk.raw']])
  })

  test('whose file is written all the time are given up, and released', async () => {
    const { scanner, pin, renewed, pinned } = start()
    const opening = followChanges(scanner, pin, () => Promise.reject(changed()))
    await expect(opening).rejects.toThrow(/disk\.raw was changed by somebody else: it has grown$/)
    expect([pinned(), renewed.length]).toEqual([0, 2])
  })

  test('whose file cannot be used any more say why', async () => {
    const { scanner, pin } = start(new Map([['disk.raw', 'it is encrypted']]))
    const opening = followChanges(scanner, pin, () => Promise.reject(changed()))
    await expect(opening).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringContaining('it cannot be used as it is now: it is encrypted'),
    })
  })

  test('that fail for another reason are not tried again', async () => {
    const { scanner, pin, renewed, pinned } = start()
    const opening = followChanges(scanner, pin, () => Promise.reject(new Error('broken')))
    await expect(opening).rejects.toThrow('broken')
    expect([pinned(), renewed]).toEqual([0, []])
  })
})
