import { expect, onTestFinished, test, vi } from 'vitest'
import { receivedBytes } from '../../../src/image/young-garbage.ts'
import { KiB, MiB } from '../../../src/units.ts'

test('every 16 MiB that come make one collection of the young generation', () => {
  const gc = vi.fn<(options: { type: string }) => void>()
  vi.stubGlobal('gc', gc)
  onTestFinished(() => void vi.unstubAllGlobals())
  for (let bytes = 0; bytes < 64 * MiB; bytes += 64 * KiB) receivedBytes(64 * KiB)
  expect(gc.mock.calls).toEqual(Array.from({ length: 4 }, () => [{ type: 'minor' }]))
})

test('where V8 does not let us, nothing is asked of it', () => {
  vi.stubGlobal('gc', undefined)
  onTestFinished(() => void vi.unstubAllGlobals())
  expect(() => receivedBytes(32 * MiB)).not.toThrow()
})
