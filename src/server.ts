// The server as one object: everything put together in order, and taken apart in the reverse order.

import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { createApp, createListener } from '../routes/app.ts'
import type { RouteContext } from '../routes/environment.ts'
import type { HealthDetails } from '../routes/health.ts'
import { createHealthRoute } from '../routes/health.ts'
import { createSocketImports } from '../routes/import-on-socket.ts'
import { createRpcRoutes } from '../routes/rpc.ts'
import { bootstrap } from './catalog/bootstrap.ts'
import type { Catalog } from './catalog/catalog.ts'
import { catalogFile, createCatalog } from './catalog/catalog.ts'
import { lockDataFolder } from './catalog/data-lock.ts'
import { createCliRoute } from './cli/session.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import { createLogger, createLogSink } from './log.ts'
import { createConnections } from './net/connections.ts'
import type { Listeners } from './net/listeners.ts'
import { openListeners } from './net/listeners.ts'
import { makeDataFolder } from './store/files/data-folder.ts'
import { createPace } from './store/upkeep/pace.ts'
import type { Storage } from './store/storage.ts'
import { createStorage } from './store/storage.ts'
import { createLeases } from './transfer/leases.ts'
import { attachAllSrs } from './operations/attach-all-srs.ts'
import type { OperationContext } from './operations/context.ts'
import { createOperationContext } from './operations/context.ts'
import { expireIncomingMoves } from './operations/expire-incoming-moves.ts'
import { resumeMoves } from './operations/resume-moves.ts'
import { readAuthorities } from './remote/authorities.ts'
import { createTransfers } from './transfer/transfers.ts'
import { MiB } from './units.ts'
import { version } from './version.ts'
import { createAuthenticate } from './xenapi/authenticate.ts'
import type { ObjectContext } from './xenapi/object-context.ts'
import { createAnswerRoom } from './xenapi/wire/answer-room.ts'
import { beginCommandCalls } from './xenapi/rpc/command-calls.ts'
import { createDispatcher } from './xenapi/dispatch.ts'
import { createRegistrations } from './xenapi/events/event-registrations.ts'
import { createJsonRpc } from './xenapi/rpc/json-rpc.ts'
import { openEventFeed } from './xenapi/events/open-event-feed.ts'
import { requireHttpPermission } from './xenapi/roles.ts'
import { methods } from './xenapi/methods/methods.ts'
import { createXmlRpc } from './xenapi/rpc/xml-rpc.ts'

/** How often old tasks, sessions and moves are forgotten, in milliseconds. */
const expiryInterval = 5 * 60_000

/** How long running transfers may go on after SIGTERM, in milliseconds. */
const drainTime = 30_000

interface RunningServer extends Pick<Listeners, 'urls' | 'selfSigned' | 'reload'> {
  /** Of root, made at this start; shown once, stored nowhere. */
  readonly generatedPassword?: string
  /** Lets running transfers finish for a while, then ends them, and closes everything. */
  stop(): Promise<void>
}

/**
 * @throws AppError, or an error of the operating system, where it cannot start; nothing is left
 *   open then
 */
export const startServer = async (config: Config): Promise<RunningServer> => {
  const closers: (() => unknown)[] = []
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close()
  }
  try {
    return await start(config, (close) => closers.push(close), closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

const start = async (
  config: Config,
  onClose: (close: () => unknown) => void,
  closeAll: () => Promise<void>,
): Promise<RunningServer> => {
  const logSink = createLogSink()
  const log = createLogger(config.logLevel, logSink)
  await makeDataFolder(config.data)
  onClose(lockDataFolder(join(config.data, 'lock')))

  const catalog = await createCatalog(join(config.data, catalogFile))
  onClose(() => catalog.close())
  const { rootPassword } = config
  const { generatedPassword, hostUuid } = await bootstrap(catalog, {
    hostname: hostname(),
    ...(rootPassword === undefined ? {} : { rootPassword }),
  })

  const storage = createStorage({
    catalog,
    onError: (error, doing) => log.error({ error }, doing),
    ...coalescingOf(config, log),
  })
  const transfers = createTransfers(config.maxTransfers, { maximumOpen: config.maxOpenTransfers })
  const leases = createLeases((vdiUuid) => catalog.changes.emit('VDI', vdiUuid, 'mod'))
  const vmLeases = createLeases((vmUuid) => catalog.changes.emit('VM', vmUuid, 'mod'), 'VM')
  const operations = createOperationContext({
    catalog,
    storage,
    transfers,
    leases,
    vmLeases,
    log,
    hostUuid,
    dataFolder: resolve(config.data),
    srRoots: config.srRoots,
    spoolLimit: config.spoolLimit,
    ...(config.migrateCa === undefined
      ? {}
      : { migrateAuthorities: await readAuthorities(config.migrateCa) }),
  })
  await attachAllSrs(operations)
  onClose(() => storage.upkeep.settled())
  onClose(() => storage.upkeep.stop())
  await recover(catalog, storage, log)
  await resumeMoves(operations)

  onClose(expireRegularly(operations, config.moveExpiry * 60_000))

  const checkHealth = async (): Promise<HealthDetails> => {
    await catalog.pools.list()
    return { reason: await catalog.whyUnwritable(), droppedLogLines: logSink.dropped }
  }
  const health = createHealthRoute(checkHealth, version)
  const authenticate = createAuthenticate(catalog, { log })
  const objects: ObjectContext = { ...operations, authenticate, version }
  const events = await openEventFeed(objects)
  onClose(() => events.close())
  const registrations = createRegistrations()
  const answers = createAnswerRoom()
  const dispatcher = createDispatcher(
    {
      ...objects,
      events,
      registrations,
      ...(config.advertise === undefined ? {} : { advertisedUrl: config.advertise }),
    },
    methods,
    answers,
  )
  onClose(() => dispatcher.idle())
  const connections = createConnections({ log })
  const rpc = createRpcRoutes({
    jsonRpc: createJsonRpc(dispatcher, answers),
    xmlRpc: createXmlRpc(dispatcher, answers),
    originOf: (socket, via) => connections.originOf(socket, via),
  })
  const beginCalls = (socket: Socket, gone: AbortSignal) =>
    beginCommandCalls(dispatcher, answers, connections.originOf(socket, 'xe'), gone)
  const routes: RouteContext = {
    operations,
    stallTimeout: config.stallTimeout * 1000,
    authenticate: (credentials, socket) =>
      authenticate(credentials, socket && connections.originOf(socket, 'HTTP Basic')),
    requirePermission: (identity, permission) => requireHttpPermission(identity, permission, log),
  }
  const app = createApp(routes, log, [health, rpc])
  const listeners = await openListeners(
    config,
    createListener(app),
    [
      ...createSocketImports(routes),
      createCliRoute({ beginCalls, log, authorities: operations.migrateAuthorities }),
    ],
    connections,
    log,
  )
  const { urls, selfSigned } = listeners
  log.info({ urls, version, data: config.data }, 'listening')

  return {
    urls,
    ...(selfSigned === undefined ? {} : { selfSigned }),
    ...(generatedPassword === undefined ? {} : { generatedPassword }),
    reload: () => listeners.reload(),
    async stop() {
      log.info({ transfers: transfers.running }, 'stopping')
      storage.upkeep.stop()
      listeners.stopAccepting()
      await transfers.drain(drainTime)
      events.close()
      await listeners.end()
      await closeAll()
      log.info('stopped')
    },
  }
}

const coalescingOf = ({ maxChainDepth, coalesceRate }: Config, log: Logger) => {
  if (coalesceRate === 0) return {}
  const pace = createPace({ bytesPerSecond: coalesceRate * MiB })
  return { coalescing: { maximumDepth: maxChainDepth, pace, log } }
}

/** What a crash left: tasks whose transfers died with it end, half-written layers go. */
const recover = async (catalog: Catalog, storage: Storage, log: Logger): Promise<void> => {
  // First: merging layers, which begins then, has tasks too.
  const { failed: tasks, trimmed } = await catalog.tasks.recover()
  if (trimmed > 0) log.warn({ tasks: trimmed }, 'forgot tasks beyond the bounds')
  const layers = await storage.upkeep.recover()
  if (layers + tasks > 0) log.warn({ layers, tasks }, 'cleaned up after the last process')
}

/** @returns what ends it */
const expireRegularly = (context: OperationContext, moveExpiry: number): (() => void) => {
  const { catalog, log } = context
  const expire = async (): Promise<void> => {
    try {
      await catalog.tasks.expire()
      await catalog.sessions.expire()
      await expireIncomingMoves(context, moveExpiry)
    } catch (error) {
      log.error({ error }, 'forgetting old tasks, sessions and moves')
    }
  }
  const timer = setInterval(() => void expire(), expiryInterval)
  return () => clearInterval(timer)
}
