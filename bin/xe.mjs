#!/usr/bin/env node
// The command line client in the package.

import { requireNode } from './require-node.mjs'

requireNode()

await import('../dist/src/cli/xe.js')
