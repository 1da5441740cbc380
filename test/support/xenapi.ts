// The calls of XenAPI for tests: on a catalog and a storage in memory.

import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { Role } from '../../src/catalog/schema.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import { GiB } from '../../src/units.ts'
import type { AnswerRoom } from '../../src/xenapi/wire/answer-room.ts'
import { createAnswerRoom } from '../../src/xenapi/wire/answer-room.ts'
import { createAuthenticate } from '../../src/xenapi/authenticate.ts'
import type { XenApiContext } from '../../src/xenapi/context.ts'
import type { ObjectContext } from '../../src/xenapi/object-context.ts'
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
import { createTestContext } from './operation-context.ts'
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
  const collected: string[] = []
  const logged: object[] = []
  const audited: object[] = []
  const log = Object.assign(pino({ level: 'silent' }), {
    error: (fields: object, message: string) => void logged.push({ ...fields, message }),
    info: (fields: object) => void ('audit' in fields && audited.push(fields)),
  })
  const real = createStorage({
    catalog,
    onError: (error, doing) => log.error({ error }, doing),
  })
  const storage = {
    ...real,
    upkeep: { ...real.upkeep, collect: (srUuid: string) => void collected.push(srUuid) },
  }
  storage.stores.attach(started.srUuid, {
    ...createLayerStore(createMemoryFolder()),
    space: async () => ({ size: 100 * GiB, used: 0 }),
  })
  const objects: ObjectContext = {
    ...createTestContext({
      catalog,
      storage,
      hostUuid,
      log,
      dataFolder: await createTestFolder(),
      srRoots,
    }),
    authenticate: createAuthenticate(catalog, { now: () => clock.now().getTime() }),
    version: '1.2.3',
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
    context,
    /** Real, in memory. */
    storage,
    leases: objects.leases,
    transfers: objects.transfers,
    dispatcher,
    protocols,
    jsonRpc: inTexts(protocols.jsonRpc),
    xmlRpc: inTexts(protocols.xmlRpc),
    session,
    login,
    /** Storage repositories whose layers were to be collected. */
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
