import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Files run in processes of their own; two cores, and some tests start servers.
    maxWorkers: 2,
    // For the workers and the processes that they start: each would compile the same files again.
    env: { NODE_COMPILE_CACHE: resolve(import.meta.dirname, 'node_modules/.cache/tests') },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
