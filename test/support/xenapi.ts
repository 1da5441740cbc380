// The calls of XenAPI for tests: on a catalog in memory, with storage and transfers that the test
// plays.

import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { Role } from '../../src/catalog/schema.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import type { TransferContext } from '../../src/transfer/context.ts'
import { createLeases } from '../../src/transfer/leases.ts'
import { createStorageRepositories } from '../../src/operations/storage-repositories.ts'
import { createTransfers } from '../../src/transfer/transfers.ts'
import { GiB, MiB } from '../../src/units.ts'
import type { AnswerRoom } from '../../src/xenapi/wire/answer-room.ts'
import { createAnswerRoom } from '../../src/xenapi/wire/answer-room.ts'
import { createAuthenticate } from '../../src/xenapi/authenticate.ts'
import type { ObjectContext, XenApiContext } from '../../src/xenapi/context.ts'
import { createDispatcher } from '../../src/xenapi/dispatch.ts'
import { createRegistrations } from '../../src/xenapi/events/event-registrations.ts'
import { createJsonRpc } from '../../src/xenapi/rpc/json-rpc.ts'
import { methods } from '../../src/xenapi/methods/methods.ts'
import { openEventFeed } from '../../src/xenapi/events/open-event-feed.ts'
import type { Wire, WireMap } from '../../src/xenapi/wire/values.ts'
import { createXmlRpc } from '../../src/xenapi/rpc/xml-rpc.ts'
import { inTexts } from './answers.ts'
import type { TestClock } from './catalogs.ts'
import { createStartedCatalog, createTestClock, ROOT_PASSWORD } from './catalogs.ts'
import { createTestFolder } from './tools.ts'

/** The largest VHD that diskport writes. */
export const MAXIMUM_VHD_SIZE = 2040 * GiB

export const createTestApi = async ({
  clock = createTestClock(),
  srRoots = [],
  room = createAnswerRoom(),
}: { clock?: TestClock; srRoots?: readonly string[]; room?: AnswerRoom } = {}) => {
  const started = await createStartedCatalog(':memory:', clock)
  const { catalog, hostUuid } = started
  /** VDIs that something writes into. */
  const busy = new Map<string, string>()
  /** Tasks whose transfer can be told to stop. */
  const running = new Set<string>()
  const cancelled: string[] = []
  const collected: string[] = []
  const logged: object[] = []
  const audited: object[] = []
  const log = {
    error: (fields: object, message: string) => void logged.push({ ...fields, message }),
    info: (fields: object) => void audited.push(fields),
  }
  const dataFolder = await createTestFolder()
  const storage = createStorage({
    catalog,
    onError: (error, doing) => log.error({ error }, doing),
  })
  storage.stores.attach(started.srUuid, createLayerStore(createMemoryFolder()))
  const transfer: TransferContext = {
    catalog,
    storage,
    transfers: createTransfers(8),
    leases: createLeases(),
    log: pino({ level: 'silent' }),
  }
  const objects: ObjectContext = {
    catalog,
    authenticate: createAuthenticate(catalog, { now: () => clock.now().getTime() }),
    hostUuid,
    transfer,
    storage: {
      usage: async () => ({
        physicalSize: 100 * GiB,
        physicalUtilisation: 7 * MiB,
        virtualAllocation: 3 * GiB,
      }),
      busy: (vdiUuid) => busy.get(vdiUuid) ?? transfer.leases.holder(vdiUuid),
      collect: (srUuid) => void collected.push(srUuid),
    },
    repositories: createStorageRepositories(transfer, dataFolder, srRoots),
    transfers: {
      cancel(taskRef) {
        if (!running.has(taskRef)) return false
        cancelled.push(taskRef)
        return true
      },
    },
    version: '1.2.3',
    log,
  }
  const events = await openEventFeed(objects)
  onTestFinished(() => events.close())
  const context: XenApiContext = { ...objects, events, registrations: createRegistrations() }
  const dispatcher = createDispatcher(context, methods, room)
  const protocols = {
    jsonRpc: createJsonRpc(dispatcher, room),
    xmlRpc: createXmlRpc(dispatcher, room),
  }
  const login = async (name = 'root', password = ROOT_PASSWORD): Promise<string> =>
    (await dispatcher.call({
      method: 'session.login_with_password',
      params: [name, password],
    })) as string
  const session = await login()
  return {
    ...started,
    clock,
    /** Real, in memory. */
    transfer,
    context,
    dispatcher,
    protocols,
    jsonRpc: inTexts(protocols.jsonRpc),
    xmlRpc: inTexts(protocols.xmlRpc),
    session,
    login,
    busy,
    running,
    cancelled,
    collected,
    logged,
    audited,
    /** Makes a call with root's session. */
    call: (method: string, ...params: Wire[]) =>
      dispatcher.call({ method, params: [session, ...params] }),
    /** The session of a new user of that role. */
    loginAs: async (role: Role): Promise<string> => {
      await catalog.users.create({ name: role, password: 'pw', role })
      return login(role, 'pw')
    },
  }
}

export type TestApi = Awaited<ReturnType<typeof createTestApi>>

export const asMap = (wire: Wire): WireMap => wire as WireMap

/** Creates a VDI through the API, its reference. */
export const createVdi = async (api: TestApi, record: WireMap = {}): Promise<string> => {
  const fields = { name_label: 'disk', SR: `OpaqueRef:${api.srUuid}`, virtual_size: String(GiB) }
  return (await api.call('VDI.create', { ...fields, ...record })) as string
}
