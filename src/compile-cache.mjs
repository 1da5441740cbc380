// Loaded before a start from a checkout (`npm start`): Node strips the types of every file each
// time, and the stripper stays in memory with 30 MB. The cache keeps the files stripped and
// compiled; where it cannot be written, all goes on without it. Itself without types, or the
// stripper would be there already. The packed program has no types either and needs none of this.

import * as module from 'node:module'
import { join } from 'node:path'
import { requireNode } from '../bin/require-node.mjs'

requireNode()

/** When all that a start needs has been loaded, in milliseconds; else it is written at exit. */
const loadedAfter = 2000

module.enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'diskport'))
setTimeout(() => module.flushCompileCache(), loadedAfter).unref()
