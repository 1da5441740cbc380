// The server as one object: everything put together in order, and taken apart in the reverse order.

import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { createApp, createListener } from '../routes/app.ts'
import type { RouteContext } from '../routes/environment.ts'
import { createHealthRoute } from '../routes/health.ts'
import { createSocketImport } from '../routes/import-on-socket.ts'
import { createRpcRoutes } from '../routes/rpc.ts'
import { bootstrap } from './catalog/bootstrap.ts'
import type { Catalog } from './catalog/catalog.ts'
import { createCatalog } from './catalog/catalog.ts'
import { lockDataFolder } from './catalog/data-lock.ts'
import type { ApiCaller } from './cli/session.ts'
import { createCliRoute } from './cli/session.ts'
import type { Config } from './config.ts'
import { formats } from './formats/registry.ts'
import type { Logger } from './log.ts'
import { createLogger } from './log.ts'
import type { TlsOptions } from './net/certificate.ts'
import { readCertificate } from './net/certificate.ts'
import { placeFront } from './net/front.ts'
import {
  createHttpServer,
  endConnections,
  headersTimeout,
  listen,
  stopAccepting,
} from './net/http-server.ts'
import type { Storage } from './store/storage.ts'
import { createStorage } from './store/storage.ts'
import { createLeases } from './transfer/leases.ts'
import { createStorageRepositories } from './transfer/storage-repositories.ts'
import { createTransfers } from './transfer/transfers.ts'
import { version } from './version.ts'
import { createAuthenticate } from './xenapi/authenticate.ts'
import type { ObjectContext, SrUsage } from './xenapi/context.ts'
import { createDispatcher } from './xenapi/dispatch.ts'
import { createRegistrations } from './xenapi/event-registrations.ts'
import { createJsonRpc } from './xenapi/json-rpc.ts'
import { openEventFeed } from './xenapi/open-event-feed.ts'
import { requireHttpPermission } from './xenapi/roles.ts'
import type { Wire } from './xenapi/values.ts'
import { createXmlRpc } from './xenapi/xml-rpc.ts'

/** How often old tasks and sessions are forgotten, in milliseconds. */
const expiryInterval = 5 * 60_000

/** How long running transfers may go on after SIGTERM, in milliseconds. */
const drainTime = 30_000

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:8080`. */
  readonly url: string
  /** Of root, made at this start; shown once, stored nowhere. */
  readonly generatedPassword?: string
  /**
   * Reads the certificate again, for new connections; without TLS there is nothing to read.
   * @throws AppError where it cannot be used: the old one stays
   */
  reload(): Promise<void>
  /** Lets running transfers finish for a while, then ends them, and closes everything. */
  stop(): Promise<void>
}

/** @throws AppError, or an error of the operating system, where it cannot start; nothing is left open then */
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
  const log = createLogger(config.logLevel)
  await mkdir(config.data, { recursive: true, mode: 0o700 })
  onClose(lockDataFolder(join(config.data, 'lock')))

  const catalog = await createCatalog(join(config.data, 'catalog.db'))
  onClose(() => catalog.close())
  const { rootPassword } = config
  const { generatedPassword, hostUuid } = await bootstrap(catalog, {
    hostname: hostname(),
    ...(rootPassword === undefined ? {} : { rootPassword }),
  })

  const storage = createStorage({
    catalog,
    onError: (error, doing) => log.error({ error }, doing),
  })
  const transfers = createTransfers(config.maxTransfers)
  const leases = createLeases((vdiUuid) => catalog.changes.emit('VDI', vdiUuid, 'mod'))
  const context = { catalog, storage, transfers, leases, log }
  const repositories = createStorageRepositories(context, resolve(config.data))
  await repositories.attachAll()
  onClose(() => storage.settled())
  await recover(catalog, storage, log)

  onClose(expireRegularly(catalog, log))

  const health = createHealthRoute(async () => {
    await catalog.pools.list()
  }, version)
  const authenticate = createAuthenticate(catalog)
  const objects: ObjectContext = {
    catalog,
    authenticate,
    hostUuid,
    transfer: context,
    storage: {
      usage: (srUuid) => usageOf(catalog, storage, srUuid),
      busy: (vdiUuid) => context.leases.holder(vdiUuid),
      collect: (srUuid) => storage.collect(srUuid),
    },
    repositories,
    transfers,
    formats,
    version,
    log,
  }
  const events = await openEventFeed(objects)
  onClose(() => events.close())
  const registrations = createRegistrations()
  const dispatcher = createDispatcher({ ...objects, events, registrations })
  onClose(() => dispatcher.idle())
  const authorize: RouteContext['authorize'] = async (credentials, permission) => {
    const identity = await authenticate(credentials)
    requireHttpPermission(identity, permission, log)
    return identity.user.name
  }
  const rpc = createRpcRoutes({
    jsonRpc: createJsonRpc(dispatcher),
    xmlRpc: createXmlRpc(dispatcher),
  })
  const call: ApiCaller = (method, params) =>
    dispatcher.call({ method, params: params as readonly Wire[] })
  const routes: RouteContext = { transfer: context, authorize }
  const app = createApp(routes, log, [health, rpc])
  const tls = await readTls(config, log)
  const server = createHttpServer(createListener(app), tls)
  const front = placeFront(server, [createSocketImport(routes), createCliRoute({ call, log })], {
    headTimeout: headersTimeout,
    onError: (error) => log.error({ error }, 'a connection failed'),
  })
  const url = await listen(server, config.listen)
  log.info({ url, version, data: config.data }, 'listening')

  return {
    url,
    ...(generatedPassword === undefined ? {} : { generatedPassword }),
    async reload() {
      const renewed = await readTls(config, log)
      if (renewed !== undefined && 'setSecureContext' in server) server.setSecureContext(renewed)
    },
    async stop() {
      log.info({ transfers: transfers.running }, 'stopping')
      const closed = stopAccepting(server)
      front.closeWaiting()
      await transfers.drain(drainTime)
      events.close()
      await endConnections(server, closed, () => front.closeAll())
      await closeAll()
      log.info('stopped')
    },
  }
}

/** @throws AppError INVALID_VALUE for files that cannot be used */
const readTls = async ({ tls }: Config, log: Logger): Promise<TlsOptions | undefined> => {
  if (tls === undefined) return undefined
  const { options, validTo, isRsa } = await readCertificate(tls)
  log.info({ certificate: tls.cert, validTo }, 'TLS')
  if (!isRsa) log.warn({ certificate: tls.cert }, 'the key is not RSA: xe will not connect')
  if (validTo < new Date()) log.warn({ certificate: tls.cert, validTo }, 'has run out')
  return options
}

const usageOf = async (catalog: Catalog, storage: Storage, srUuid: string): Promise<SrUsage> => {
  // A folder that has just gone must not take the records of all the others with it.
  const { size, used } = await storage
    .store(srUuid)
    .usage()
    .catch(() => ({ size: 0, used: 0 }))
  const vdis = (await catalog.vdis.list()).filter((vdi) => vdi.srUuid === srUuid)
  const virtualAllocation = vdis.reduce((sum, vdi) => sum + vdi.virtualSize, 0)
  return { physicalSize: size, physicalUtilisation: used, virtualAllocation }
}

/** What a crash left: half-written layers go, tasks whose transfers died with it end. */
const recover = async (catalog: Catalog, storage: Storage, log: Logger): Promise<void> => {
  const layers = await storage.recover()
  const tasks = await catalog.tasks.failAbandoned()
  if (layers + tasks > 0) log.warn({ layers, tasks }, 'cleaned up after the last process')
}

/** @returns what ends it */
const expireRegularly = (catalog: Catalog, log: Logger): (() => void) => {
  const expire = async (): Promise<void> => {
    try {
      await catalog.tasks.expire()
      await catalog.sessions.expire()
    } catch (error) {
      log.error({ error }, 'forgetting old tasks and sessions')
    }
  }
  const timer = setInterval(() => void expire(), expiryInterval)
  return () => clearInterval(timer)
}
