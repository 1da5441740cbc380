import { expect, test } from 'vitest'
import { createPins } from '../../../../src/store/reading/pins.ts'

test('a layer is held until the last reader lets go', () => {
  let released = 0
  const pins = createPins()
  pins.whenReleased(() => (released += 1))
  const first = pins.pin(['a', 'b'])
  const second = pins.pin(['b', 'c'])
  expect([...pins.held()].toSorted()).toEqual(['a', 'b', 'c'])
  first()
  first()
  expect([...pins.held()].toSorted()).toEqual(['b', 'c'])
  expect(released).toBe(1)
  second()
  expect(pins.held().size).toBe(0)
  expect(released).toBe(2)
})
