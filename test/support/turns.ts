// A turn for code that is tested alone: it has a place, and nobody else wants one.

import type { Turn } from '../../src/transfer/turns.ts'
import { createTurns } from '../../src/transfer/turns.ts'

export const freeTurn = (): Turn => {
  const turn = createTurns(1).turn('root')
  void turn.take()
  return turn
}
