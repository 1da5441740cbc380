// GET /health: is the server up, does its catalog answer, and can it be written? The smallest route, the one to read
// first.

import { Hono } from 'hono'
import type { NodeEnvironment } from './environment.ts'

/** @param check throws where the server cannot do its work; why it can only do a part of it, or undefined */
export const createHealthRoute = (
  check: () => Promise<string | undefined>,
  version: string,
): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  app.get('/health', async (c) => {
    c.header('cache-control', 'no-store')
    try {
      const reason = await check()
      // 200 all the same: exports and logins go on, and starting the server anew would end them.
      return c.json(reason === undefined ? { status: 'ok', version } : degraded(reason, version))
    } catch {
      return c.json({ status: 'unavailable', version }, 503)
    }
  })
  return app
}

const degraded = (reason: string, version: string) => ({ status: 'degraded', version, reason })
