// The work of a transfer that nobody cancels and that waits for nobody's turn.

import type { Work } from '../../src/transfer/copy-disk.ts'
import { createTurns } from '../../src/transfer/turns.ts'

export const undisturbed: Work = {
  signal: new AbortController().signal,
  turn: createTurns(1).turn(''),
}
