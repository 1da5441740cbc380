// GET /health: is the server up, does its catalog answer, and can it be written? The smallest
// route, the one to read first.

import { Hono } from 'hono'
import type { NodeEnvironment } from './environment.ts'

/** What there is to tell beside the status. */
export interface HealthDetails {
  /** Why the server can only do a part of its work. */
  readonly reason: string | undefined
  /** Since the start: the log could not be written. */
  readonly droppedLogLines: number
}

/** @param check throws where the server cannot do its work */
export const createHealthRoute = (
  check: () => Promise<HealthDetails>,
  version: string,
): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  app.get('/health', async (c) => {
    c.header('cache-control', 'no-store')
    try {
      const { reason, droppedLogLines } = await check()
      const log = droppedLogLines === 0 ? {} : { dropped_log_lines: droppedLogLines }
      // 200 all the same: exports and logins go on, and starting the server anew would end them.
      const status = reason === undefined ? { status: 'ok' } : { status: 'degraded', reason }
      return c.json({ ...status, version, ...log })
    } catch {
      return c.json({ status: 'unavailable', version }, 503)
    }
  })
  return app
}
