// In which order disks are sent, and what each is sent on top of, so that what they share is sent
// once: pure reckoning over the layers that they lie on.

interface PlannedDisk {
  readonly uuid: string
  /** The uuids of its layers, top first. */
  readonly layers: readonly string[]
  readonly contentUuid: string | null
  /** In bytes. */
  readonly virtualSize: number
  /** Disks of one place lie in one storage repository, in one format. */
  readonly place: string
  /** When a snapshot was taken, in milliseconds; infinite for what goes on changing. */
  readonly time: number
}

export interface Step {
  readonly uuid: string
  /** Sent before, in the same place: the disk begins as a clone of it. Null: as an empty disk. */
  readonly base: string | null
  /** False: the disk holds what its base holds, or nothing. */
  readonly isSent: boolean
}

interface Holder {
  readonly disk: PlannedDisk
  /** How many layers of it lie above the shared one. */
  readonly above: number
}

/**
 * Smaller disks come first, older snapshots before newer ones and before their disk. A disk lies on
 * the one of those before it with which it shares most: the deepest common layer counts.
 */
export const planDisks = (disks: readonly PlannedDisk[]): Step[] => {
  /** By place and layer: who shows it, with the least above it. */
  const holders = new Map<string, Holder>()
  const steps: Step[] = []
  for (const disk of disks.toSorted(bySizeAndTime)) {
    const keys = disk.layers.map((layer) => `${disk.place} ${layer}`)
    const base = keys.map((key) => holders.get(key)).find((holder) => holder !== undefined)?.disk
    steps.push({
      uuid: disk.uuid,
      base: base?.uuid ?? null,
      isSent: disk.layers.length > 0 && (base === undefined || !hasSameContent(disk, base)),
    })
    for (const [above, key] of keys.entries()) {
      const known = holders.get(key)
      if (known === undefined || above <= known.above) holders.set(key, { disk, above })
    }
  }
  return steps
}

const bySizeAndTime = (a: PlannedDisk, b: PlannedDisk): number =>
  a.virtualSize - b.virtualSize || compare(a.time, b.time)

/** Not a difference: that of two infinite times is no number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)

const hasSameContent = (disk: PlannedDisk, base: PlannedDisk): boolean =>
  disk.layers[0] === base.layers[0] ||
  (disk.contentUuid !== null && disk.contentUuid === base.contentUuid)
