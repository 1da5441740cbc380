// The body of an answer: put together in steps, in pieces of bytes whose length is known before the
// first is sent. Both wire protocols end here; routes/send-answer.ts sends it.

import { LongText } from '../../disk/long-text.ts'
import { createStepCounter } from '../../disk/step-counter.ts'
import { KiB, MiB } from '../../units.ts'
import type { AnswerWork } from '../wire/answer-room.ts'

export interface Answer {
  /** Bytes of all pieces. */
  readonly length: number
  /** To be iterated once: a piece that was given is forgotten here. */
  pieces(): Generator<Uint8Array, void, undefined>
  /** Called when all has been sent, or will not be. Idempotent. */
  release(): void
}

/** Bytes of a piece, about. */
const pieceSize = 64 * KiB

/** An answer that has grown to this asks for room, whatever it was that was asked. */
const largeFrom = MiB

/**
 * A part costs about as much as so many characters in it; others have their turn after so much of
 * both.
 */
const partCost = 64
const costPerPause = 128 * KiB

export class AnswerBuilder {
  readonly #work: AnswerWork
  readonly #step = createStepCounter(costPerPause)
  #done: (Uint8Array | LongText)[] = []
  #length = 0
  #text: string[] = []
  #textLength = 0

  constructor(work: AnswerWork) {
    this.#work = work
  }

  /** @throws AppError TOO_BUSY where it becomes large and there is no room */
  async add(parts: Iterable<string | LongText>): Promise<void> {
    for (const part of parts) {
      const pause = this.#step(partCost + (part instanceof LongText ? 0 : part.length))
      if (pause !== undefined) await pause
      if (part instanceof LongText) this.#addLong(part)
      else {
        this.#text.push(part)
        this.#textLength += part.length
        if (this.#textLength < pieceSize) continue
        this.#flush()
        if (this.#length >= largeFrom) await this.#work.enter()
      }
    }
  }

  /** Where the next part goes; for `rewind`. */
  mark(): number {
    this.#flush()
    return this.#done.length
  }

  /** Takes back all that was added since the mark. */
  rewind(mark: number): void {
    this.#flush()
    for (const part of this.#done.splice(mark)) {
      this.#length -= part.length
      this.#work.hold(-weightOf(part))
    }
  }

  /** Nothing may be added afterwards. */
  finish(): Answer {
    this.#flush()
    this.#work.leave()
    const parts = this.#done
    this.#done = []
    return {
      length: this.#length,
      *pieces() {
        for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
          if (!(part instanceof LongText)) yield part
          else for (const piece of part.pieces()) yield Buffer.from(piece, 'latin1')
        }
      },
      release: () => this.#work.release(),
    }
  }

  #addLong(text: LongText): void {
    this.#flush()
    this.#push(text)
  }

  #flush(): void {
    if (this.#textLength === 0) return
    this.#push(Buffer.from(this.#text.join(''), 'utf8'))
    this.#text = []
    this.#textLength = 0
  }

  #push(part: Uint8Array | LongText): void {
    this.#done.push(part)
    this.#length += part.length
    this.#work.hold(weightOf(part))
  }
}

const weightOf = (part: Uint8Array | LongText): number =>
  part instanceof LongText ? part.weight : part.length
