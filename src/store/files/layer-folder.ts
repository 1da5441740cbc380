// What a store needs of the place where its files lie: a folder with a staging area beside it.
// file-folder.ts is the real one, memory-folder.ts the smallest. Names are plain, without any `/`.

import type { FileState, Image, WritableImage } from '../../image/image.ts'
import type { Spool } from '../../image/spool.ts'

export interface LayerFolder {
  /** A new, empty file in staging. */
  create(name: string): Promise<WritableImage>

  /**
   * Moves a synced and closed file out of staging, durably. From then on `open` finds it, and no
   * longer the one that had the name before, which stays readable for those who have it open.
   * @param as its name there, if another one
   * @returns how many bytes it takes on the storage
   */
  publish(name: string, as?: string): Promise<number>

  /** All that lies there beside staging, in no order. */
  list(): Promise<FolderEntry[]>

  /** A file as it is now; undefined where there is none. Follows no link. */
  state(name: string): Promise<FileState | undefined>

  /**
   * Opens a published file; undefined where there is none. @throws AppError VDI_IO_ERROR for what
   * is no plain file
   */
  open(name: string): Promise<Image | undefined>

  /**
   * Makes a published file look as if it had been written just now, by the clock of its storage.
   */
  touch(name: string): Promise<void>

  /** Removes a file, published or in staging; one that is not there is fine. */
  remove(name: string): Promise<void>

  /** Removes a file from staging only; one that is not there is fine. */
  discard(name: string): Promise<void>

  /** What lies in staging, of that which diskport puts there. */
  listStaging(): Promise<string[]>

  openSpool(): Promise<Spool>

  space(): Promise<StoreSpace>
}

export interface FolderEntry {
  readonly name: string
  /** No link, no folder, no device. */
  readonly isPlain: boolean
}

/** In bytes. */
export interface StoreSpace {
  /** What the storage could hold in all. */
  readonly size: number
  /** What is taken of it, by whomever. */
  readonly used: number
}
