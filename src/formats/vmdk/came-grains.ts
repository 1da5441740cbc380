// The grains of a stream that have come, and where: 8 bytes for each, however far apart they are on
// the disk. Asked for in ascending order when all have come.

export class CameGrains {
  #grains = new Uint32Array(1024)
  #places = new Uint32Array(1024)
  #isAscending = true
  #count = 0
  #next = 0

  get count(): number {
    return this.#count
  }

  /** @param place in sectors */
  add(grain: number, place: number): void {
    if (this.#count === this.#grains.length) this.#grow()
    if (this.#count > 0 && grain <= this.#grains[this.#count - 1]!) this.#isAscending = false
    this.#grains[this.#count] = grain
    this.#places[this.#count] = place
    this.#count += 1
  }

  /**
   * Sorts them.
   * @returns a grain that came twice; undefined where there is none
   */
  findTwice(): number | undefined {
    if (this.#isAscending) return undefined
    // Sorting numbers without a comparison function is native; each grain carries its place along.
    const keys = BigUint64Array.from(
      { length: this.#count },
      (_, index) => (BigInt(this.#grains[index]!) << 32n) | BigInt(this.#places[index]!),
    )
    keys.sort()
    this.#grains = Uint32Array.from(keys, (key) => Number(key >> 32n))
    this.#places = Uint32Array.from(keys, (key) => Number(key & 0xffffffffn))
    this.#isAscending = true
    const again = this.#grains.findIndex(
      (grain, index) => index > 0 && grain === this.#grains[index - 1],
    )
    return again < 0 ? undefined : this.#grains[again]
  }

  /** Whether the next one is this, and there. To be asked after findTwice. */
  isNext(grain: number, place: number): boolean {
    const index = this.#next
    this.#next += 1
    return index < this.#count && this.#grains[index] === grain && this.#places[index] === place
  }

  #grow(): void {
    const [grains, places] = [this.#grains, this.#places]
    this.#grains = new Uint32Array(grains.length * 2)
    this.#places = new Uint32Array(grains.length * 2)
    this.#grains.set(grains)
    this.#places.set(places)
  }
}
