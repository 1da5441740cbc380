// Clusters of a stream that are still to come, nearest first: what a decoder has to watch for. Runs
// in typed arrays, kept as a heap: 16 bytes a run, whether tables come in order or not.

export class ClusterQueue {
  /** Number of runs. */
  size = 0
  #offsets = new Float64Array(64)
  #labels = new Uint32Array(64)
  #counts = new Uint32Array(64)

  /** Where the nearest run begins in the image; undefined without one. */
  get firstOffset(): number | undefined {
    return this.size === 0 ? undefined : this.#offsets[0]!
  }

  /** What the nearest run is to the decoder: its first guest cluster, or the number of a table. */
  get firstLabel(): number {
    return this.#labels[0]!
  }

  /** Clusters in the nearest run. */
  get firstCount(): number {
    return this.#counts[0]!
  }

  push(offset: number, label: number, count: number): void {
    if (this.size === this.#offsets.length) this.#grow()
    let at = this.size
    this.size += 1
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (this.#offsets[parent]! <= offset) break
      this.#move(parent, at)
      at = parent
    }
    this.#set(at, offset, label, count)
  }

  /** Takes the nearest run away. */
  shift(): void {
    this.size -= 1
    const last = this.size
    const offset = this.#offsets[last]!
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= last) break
      if (child + 1 < last && this.#offsets[child + 1]! < this.#offsets[child]!) child += 1
      if (this.#offsets[child]! >= offset) break
      this.#move(child, at)
      at = child
    }
    this.#set(at, offset, this.#labels[last]!, this.#counts[last]!)
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#offsets[from]!, this.#labels[from]!, this.#counts[from]!)
  }

  #set(at: number, offset: number, label: number, count: number): void {
    this.#offsets[at] = offset
    this.#labels[at] = label
    this.#counts[at] = count
  }

  #grow(): void {
    const capacity = this.#offsets.length * 2
    const offsets = new Float64Array(capacity)
    offsets.set(this.#offsets)
    this.#offsets = offsets
    const labels = new Uint32Array(capacity)
    labels.set(this.#labels)
    this.#labels = labels
    const counts = new Uint32Array(capacity)
    counts.set(this.#counts)
    this.#counts = counts
  }
}
