// GET /health: is the server up, and does its catalog answer? The smallest route, the one to read first.

import { Hono } from 'hono'
import type { NodeEnvironment } from './environment.ts'

/** What there is to tell beside the status. */
export interface HealthDetails {
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
      const { droppedLogLines } = await check()
      const log = droppedLogLines === 0 ? {} : { dropped_log_lines: droppedLogLines }
      return c.json({ status: 'ok', version, ...log })
    } catch {
      return c.json({ status: 'unavailable', version }, 503)
    }
  })
  return app
}
