// The client library of Xen Orchestra as it is published, and what tests see through it. It comes
// without types: those below name what is used here.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
// @ts-expect-error: the package has no types
import { createClient } from 'xen-api'
import { rootPassword, type TestServer } from './server.ts'
import { within } from './wait.ts'

/** A record as the library keeps it, fresh by the events. */
export interface CachedRecord {
  readonly $ref: string
  readonly $type: string
  readonly uuid: string
  readonly [field: string]: unknown
}

/** What the library gives for what may take long; `cancel` is that of its CancelToken. */
export type Cancelable<T> = Promise<T> & { cancel(message?: string): Promise<void> | undefined }

export interface Download {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readable
  /** Settles as the task does that the library made for it. */
  readonly task: Promise<unknown>
}

interface ResourceOptions {
  readonly query: Readonly<Record<string, string>>
  /** Instead of one that the library makes. */
  readonly task?: string
}

export interface XenApi {
  readonly status: 'connected' | 'connecting' | 'disconnected'
  readonly sessionId: string
  readonly pool: CachedRecord
  /** The records that the events keep fresh, by uuid. */
  readonly objects: {
    readonly all: Readonly<Record<string, CachedRecord>>
    on(event: 'add' | 'update' | 'remove', listener: () => void): void
    off(event: 'add' | 'update' | 'remove', listener: () => void): void
  }
  readonly objectsFetched: Promise<void>
  connect(): Promise<void>
  disconnect(): Promise<void>
  call<T = unknown>(method: string, ...params: unknown[]): Promise<T>
  callAsync<T = unknown>(method: string, ...params: unknown[]): Cancelable<T>
  /** The library destroys the task when it has seen its end. */
  createTask(label: string): Promise<string>
  watchTask(ref: string): Promise<unknown>
  /** The record of `ref`, with all events until now. */
  barrier(ref: string): Promise<CachedRecord>
  getResource(path: string, options: ResourceOptions): Cancelable<Download>
  putResource(body: Readable, path: string, options: ResourceOptions): Cancelable<unknown>
}

interface XenApiOptions {
  /** Default: JSON-RPC first, XML-RPC where there is none. */
  readonly transport?: 'json-rpc' | 'xml-rpc'
  readonly password?: string
}

/** A client that watches events; it leaves with the test. */
export const createXenApi = (
  server: TestServer,
  { transport, password = rootPassword }: XenApiOptions = {},
): XenApi => {
  const create = createClient as (options: object) => XenApi
  const xapi = create({
    url: server.url,
    auth: { user: 'root', password },
    ...(transport === undefined ? {} : { transport }),
    debounce: 10,
    // After an error of the connection, in milliseconds.
    eventPollDelay: 50,
  })
  onTestFinished(() => xapi.disconnect())
  return xapi
}

/** Logs in, and has read all records. */
export const connectXenApi = async (
  server: TestServer,
  options: XenApiOptions = {},
): Promise<XenApi> => {
  const xapi = createXenApi(server, options)
  await xapi.connect()
  await within('the records of the server', xapi.objectsFetched)
  return xapi
}

/** The first record that fits, as soon as an event brings it. */
export const untilSeen = async (
  { objects }: XenApi,
  label: string,
  fits: (record: CachedRecord) => boolean,
): Promise<CachedRecord> => {
  let look = (): void => {}
  const seen = new Promise<CachedRecord>((resolve) => {
    look = () => {
      const found = Object.values(objects.all).find(fits)
      if (found !== undefined) resolve(found)
    }
  })
  objects.on('add', look)
  objects.on('update', look)
  look()
  try {
    return await within(label, seen)
  } finally {
    objects.off('add', look)
    objects.off('update', look)
  }
}

/** Returns when the events have taken the record away. */
export const untilGone = async ({ objects }: XenApi, uuid: string): Promise<void> => {
  let look = (): void => {}
  const gone = new Promise<void>((resolve) => {
    look = () => {
      if (!(uuid in objects.all)) resolve()
    }
  })
  objects.on('remove', look)
  look()
  try {
    await within(`the end of ${uuid}`, gone)
  } finally {
    objects.off('remove', look)
  }
}

/** A file as the library likes it: with its length, or without, as a pipe has none. */
export const streamOf = async (path: string, length: 'known' | 'unknown'): Promise<Readable> => {
  const stream = createReadStream(path)
  return length === 'unknown' ? stream : Object.assign(stream, { length: (await stat(path)).size })
}
