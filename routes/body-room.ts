// The memory that bodies of calls take while they come and until they are answered: short ones
// always have room, long ones share a bound, of which one network has a part. rpc.ts says whose
// they are, call-body.ts fills it.

import { KiB, MiB } from '../src/units.ts'

/** Of a body that needs no room: what nearly all calls have. */
const SMALL = 64 * KiB

/** Of all longer bodies together. */
const MAXIMUM_ROOM = 32 * MiB

/** Of the bodies of one network: a quarter of all. */
const SHARES = 4

export interface BodyRooms {
  /** The part of one network. */
  of(network: string): BodyRoom
}

/** Bytes of long bodies that are held in memory. */
export interface BodyRoom {
  /** False if there is no room for that many more bytes. */
  take(bytes: number): boolean
  give(bytes: number): void
}

export const createBodyRooms = (
  maximum = MAXIMUM_ROOM,
  maximumOfNetwork = maximum / SHARES,
): BodyRooms => {
  let all = 0
  const held = new Map<string, number>()
  const change = (network: string, by: number): void => {
    all += by
    const now = (held.get(network) ?? 0) + by
    if (now === 0) held.delete(network)
    else held.set(network, now)
  }
  return {
    of: (network) => ({
      take(bytes) {
        const ofNetwork = held.get(network) ?? 0
        if (all + bytes > maximum || ofNetwork + bytes > maximumOfNetwork) return false
        change(network, bytes)
        return true
      },
      give: (bytes) => change(network, -bytes),
    }),
  }
}

export interface Collector {
  readonly length: number
  /** False: there is no room for it. */
  add(chunk: Uint8Array): boolean
  all(): Uint8Array
  /** Gives the room back; harmless the second time. */
  readonly release: () => void
}

/** Copies each chunk: a chunk of one byte would keep a much larger buffer alive. */
export const createCollector = (room: BodyRoom): Collector => {
  let bytes = new Uint8Array(4 * KiB)
  let length = 0
  let held = 0
  const grow = (size: number): boolean => {
    const more = size > SMALL ? size - held : 0
    if (more > 0 && !room.take(more)) return false
    held += more
    const larger = new Uint8Array(size)
    larger.set(bytes.subarray(0, length))
    bytes = larger
    return true
  }
  return {
    get length() {
      return length
    },
    add(chunk) {
      const needed = length + chunk.length
      if (needed > bytes.length && !grow(Math.max(2 * bytes.length, needed))) return false
      bytes.set(chunk, length)
      length = needed
      return true
    },
    all: () => bytes.subarray(0, length),
    release() {
      room.give(held)
      held = 0
    },
  }
}
