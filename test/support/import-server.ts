// Imports over real sockets, in the process of the test: the routes, the socket front, a catalog
// and a storage in memory. Whoever asks may do everything.

import type { AddressInfo } from 'node:net'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { createApp, createListener } from '../../routes/app.ts'
import type { RouteContext } from '../../routes/environment.ts'
import { createSocketImports } from '../../routes/import-on-socket.ts'
import type { AppError } from '../../src/errors.ts'
import type { FormatName } from '../../src/format-table.ts'
import { placeFront } from '../../src/net/front.ts'
import { createHttpServer } from '../../src/net/http-server.ts'
import { createLayerStore } from '../../src/store/files/layer-store.ts'
import { createMemoryFolder } from '../../src/store/files/memory-folder.ts'
import { createStorage } from '../../src/store/storage.ts'
import { createStartedCatalog } from './catalogs.ts'
import { readAll } from './disks.ts'
import { createTestContext } from './operation-context.ts'
import { connectRaw } from './raw-client.ts'
import { eventually } from './wait.ts'

/** @param options `denial`: what whoever asks is refused with */
export const startImportServer = async ({
  denial,
  stallTimeout = 900_000,
}: { denial?: AppError | undefined; stallTimeout?: number } = {}) => {
  const { catalog, srUuid, hostUuid } = await createStartedCatalog()
  const log = pino({ level: 'silent' })
  const storage = createStorage({
    catalog,
    onError: () => {},
  })
  storage.stores.attach(srUuid, createLayerStore(createMemoryFolder()))
  const operations = createTestContext({ catalog, storage, hostUuid, log })
  const { transfers, leases } = operations
  const root = (await catalog.users.getByName('root'))!
  const routes: RouteContext = {
    operations,
    stallTimeout,
    authenticate: () =>
      denial?.code.startsWith('SESSION_') === true
        ? Promise.reject(denial)
        : Promise.resolve({ user: root }),
    requirePermission: () => {
      if (denial !== undefined) throw denial
    },
  }
  const server = createHttpServer(createListener(createApp(routes, log, [])))
  const errors: unknown[] = []
  const front = placeFront(server, createSocketImports(routes), {
    headTimeout: 60_000,
    onError: (error) => errors.push(error),
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
    front.closeAll()
    return storage.upkeep.settled()
  })
  const { port } = server.address() as AddressInfo

  return {
    port,
    catalog,
    srUuid,
    transfers,
    leases,
    errors,
    connect: () => connectRaw(port),
    createVdi: async (virtualSize: number, format: FormatName = 'qcow2') =>
      (await catalog.vdis.create({ srUuid, nameLabel: '', virtualSize, format })).uuid,
    createTask: () => catalog.tasks.create({ nameLabel: 'upload', userUuid: null }),
    /** The task's row once it has ended. */
    ended: (task: string) =>
      eventually('the task to end', async () => {
        const row = await catalog.tasks.get(task)
        return row!.finishedAt === null ? undefined : row
      }),
    /** What the VDI shows. */
    read: async (uuid: string): Promise<Uint8Array> => {
      const { disk } = await storage.contents.open(uuid)
      try {
        return await readAll(disk)
      } finally {
        await disk.close()
      }
    },
  }
}
