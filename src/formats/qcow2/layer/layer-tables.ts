// The L2 tables of a layer that is being written: as many as fit in memory, the others in the file.
// A step on a table is synchronous, so that no two of them see it half done.

import { viewOf } from '../../../image/binary.ts'
import type { WritableImage } from '../../../image/image.ts'
import { MiB } from '../../../units.ts'
import { WRITTEN } from '../constants.ts'

/** 8 MiB of tables: 64 GiB of guest that can be written in any order without a table read twice. */
const defaultCapacity = (8 * MiB) / WRITTEN.clusterSize

interface Table {
  readonly view: DataView
  readonly loaded: Promise<void>
  isDirty: boolean
  /** How many steps wait for it, or write it to the file. Only a table with none may go. */
  users: number
}

export class LayerTables {
  readonly #file: WritableImage
  readonly #allocate: () => number
  readonly #capacity: number
  /** Where each table lies in the file; 0 for those that are not there. */
  readonly #offsets: Float64Array
  /** In the order of last use. */
  readonly #tables = new Map<number, Table>()
  /** Memory of tables that went, for those that come: as garbage it would pile up. */
  readonly #spare: Uint8Array[] = []

  /**
   * @param count number of tables that the disk may have
   * @param allocate gives a cluster at the end of the file to each new table
   */
  constructor(
    file: WritableImage,
    count: number,
    allocate: () => number,
    capacity = defaultCapacity,
  ) {
    this.#file = file
    this.#allocate = allocate
    this.#capacity = capacity
    this.#offsets = new Float64Array(count)
  }

  /** Where the tables lie in the file, by number; 0 for those that are not there. */
  get offsets(): Readonly<Float64Array> {
    return this.#offsets
  }

  has(table: number): boolean {
    return this.#offsets[table] !== 0
  }

  /** Calls `step` with the table; undefined where there is none. `step` changes nothing. */
  async look<T>(table: number, step: (view: DataView) => T): Promise<T | undefined> {
    return this.has(table) ? this.#use(table, step) : undefined
  }

  /**
   * Calls `step` with the table, a new one where there is none, and keeps what it changes: the
   * table is in the file before it is read again.
   */
  change<T>(table: number, step: (view: DataView) => T): Promise<T> {
    return this.#use(table, step, true)
  }

  /** Writes to the file all that it does not have yet. */
  async flush(): Promise<void> {
    for (const [number, table] of this.#tables) await this.#write(number, table)
  }

  async #use<T>(number: number, step: (view: DataView) => T, changes = false): Promise<T> {
    const table = this.#tables.get(number) ?? this.#open(number)
    this.#tables.delete(number)
    this.#tables.set(number, table)
    table.users += 1
    try {
      await table.loaded
      if (changes) table.isDirty = true
      return step(table.view)
    } finally {
      table.users -= 1
    }
  }

  #open(number: number): Table {
    const bytes = this.#spare.pop() ?? new Uint8Array(WRITTEN.clusterSize)
    const offset = this.#offsets[number]!
    const isNew = offset === 0
    if (isNew) bytes.fill(0)
    if (isNew) this.#offsets[number] = this.#allocate()
    const load = async (): Promise<void> => {
      await this.#makeRoom()
      if (!isNew) await this.#file.read(offset, bytes)
    }
    const loaded = load()
    loaded.catch(() => this.#tables.delete(number))
    return { view: viewOf(bytes), loaded, isDirty: false, users: 0 }
  }

  /** Lets the table go that was used least lately, until there is room, or all are in use. */
  async #makeRoom(): Promise<void> {
    for (const [number, table] of this.#tables) {
      if (this.#tables.size <= this.#capacity) return
      if (table.users > 0) continue
      await this.#write(number, table)
      // Meanwhile it may have been asked for, or changed.
      if (table.users > 0 || table.isDirty || this.#tables.get(number) !== table) continue
      this.#tables.delete(number)
      this.#spare.push(bytesOf(table))
    }
  }

  async #write(number: number, table: Table): Promise<void> {
    if (!table.isDirty) return
    table.users += 1
    table.isDirty = false
    try {
      await this.#file.write(this.#offsets[number]!, bytesOf(table))
    } catch (error) {
      table.isDirty = true
      throw error
    } finally {
      table.users -= 1
    }
  }
}

const bytesOf = ({ view }: Table): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
