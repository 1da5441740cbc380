// A text that is too long to be held: made piece by piece, each time it is read. A class, because
// it stands among values of all kinds and must not be taken for a map of one of them.

export class LongText {
  /**
   * In characters, all of them ASCII that needs no escaping in JSON or XML: that many bytes, too.
   */
  readonly length: number
  /** Bytes of memory that it is made from, for as long as somebody reads it. */
  readonly weight: number
  readonly #make: () => Iterable<string>

  /** @param make gives the pieces, together `length` characters, whenever it is called */
  constructor(length: number, weight: number, make: () => Iterable<string>) {
    this.length = length
    this.weight = weight
    this.#make = make
  }

  pieces(): Iterable<string> {
    return this.#make()
  }

  /** All of it, for those who have to hold it. */
  toString(): string {
    return [...this.#make()].join('')
  }
}
