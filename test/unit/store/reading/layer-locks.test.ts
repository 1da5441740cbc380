// Opening a layer's file and replacing it exclude each other.

import { expect, test } from 'vitest'
import { createLayerLocks } from '../../../../src/store/reading/layer-locks.ts'

test('a layer is replaced when nobody is opening it, and nobody opens it meanwhile', async () => {
  const locks = createLayerLocks()
  const events: string[] = []
  const step = (name: string) => {
    let end = (): void => {}
    const ended = new Promise<void>((resolve) => (end = resolve))
    const run = async (): Promise<void> => {
      events.push(`${name} begins`)
      await ended
      events.push(`${name} ends`)
    }
    return { run, end }
  }
  const [first, second, replace, late, other] = ['1', '2', 'replace', 'late', 'other'].map(step)
  const all = [
    locks.opening('a', first!.run),
    locks.opening('a', second!.run),
    locks.replacing('a', replace!.run),
    locks.opening('a', late!.run),
    locks.opening('b', other!.run),
  ]
  second!.end()
  other!.end()
  await all[4]
  first!.end()
  await all[0]
  replace!.end()
  await all[2]
  late!.end()
  await Promise.all(all)
  const order = events.filter((event) => !event.startsWith('other'))
  expect(order.slice(0, 2)).toEqual(['1 begins', '2 begins'])
  expect(order.slice(4)).toEqual(['replace begins', 'replace ends', 'late begins', 'late ends'])
})

test('a failure of one is no concern of the others', async () => {
  const locks = createLayerLocks()
  const broken = () => Promise.reject(new Error('broken'))
  const opening = locks.opening('a', broken)
  const replacing = locks.replacing('a', broken)
  const late = locks.opening('a', async () => 'opened')
  await expect(opening).rejects.toThrow('broken')
  await expect(replacing).rejects.toThrow('broken')
  expect(await late).toBe('opened')
})
