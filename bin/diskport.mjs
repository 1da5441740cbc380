#!/usr/bin/env -S node --max-semi-space-size=1 --expose-gc
// The server's command in the package. The flags: what comes over a socket lies outside V8's heap
// and is freed with its young generation. A young generation that grows under load holds 50 MB
// more, and one that is not collected in time (src/image/young-garbage.ts) 35 MB.

import { requireNode } from './require-node.mjs'

requireNode()

await import('../dist/src/main.js')
