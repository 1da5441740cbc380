// Called before anything else is loaded: an older Node stops here with a sentence, and not
// somewhere in the program with a stack trace. Only syntax and functions that old versions of Node
// have.

import { readFileSync } from 'node:fs'

export const requireNode = () => {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const needed = Number(/\d+/.exec(JSON.parse(text).engines.node)[0])
  const found = process.versions.node
  if (Number(found.split('.')[0]) >= needed) return
  process.stderr.write(`diskport needs Node.js ${needed} or newer; this is Node.js ${found}\n`)
  process.exit(1)
}
