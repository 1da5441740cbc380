// GET /health: is the server up, and does its catalog answer? The smallest route, the one to read first.

import { Hono } from 'hono'
import type { NodeEnvironment } from './environment.ts'

/** @param check throws where the server cannot do its work */
export const createHealthRoute = (
  check: () => Promise<void>,
  version: string,
): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  app.get('/health', async (c) => {
    c.header('cache-control', 'no-store')
    try {
      await check()
      return c.json({ status: 'ok', version })
    } catch {
      return c.json({ status: 'unavailable', version }, 503)
    }
  })
  return app
}
