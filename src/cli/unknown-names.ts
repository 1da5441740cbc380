// Parameters that a command ignores, as XenServer's does: the user is told of each, and of what may
// have been meant.

import { nearest } from '../near-names.ts'
import type { Params } from './command-line.ts'
import { keyIn } from './command-line.ts'
import type { Command } from './commands/command.ts'

/** Of a name that a client chose, in a message. */
const longestShown = 64

/** The number of warnings of a command that are shown. */
const maximumShown = 10

/** The first of what `warningsOf` has to say, and how many more there are. */
export const shownWarnings = (command: Command, params: Params): string[] => {
  const warnings = warningsOf(command, params)
  const more = warnings.length - maximumShown
  if (more <= 0) return warnings
  return [...warnings.slice(0, maximumShown), `Warning: ${more} more parameters like these`]
}

/**
 * A sentence for each parameter that the command does not know, and for each key that is nearly
 * one.
 */
const warningsOf = (command: Command, params: Params): string[] => {
  if (command.checksNames === true) return []
  const known = [...command.required, ...command.optional]
  const maps = known.flatMap((name) => (name.endsWith(':') ? [name.slice(0, -1)] : []))
  return params.all.flatMap(([name]) => {
    const map = maps.find((map) => keyIn(map, name) !== undefined)
    if (map !== undefined) return nearKey(command, map, keyIn(map, name)!)
    if (known.includes(name)) return []
    const meant = nearest(name, known)
    const shown = JSON.stringify(name.slice(0, longestShown))
    const hint = meant === undefined ? '' : `: did you mean ${meant}?`
    return [`Warning: ${command.name} does not know the parameter ${shown} and ignores it${hint}`]
  })
}

const nearKey = ({ keys }: Command, map: string, key: string): string[] => {
  const known = keys?.[map] ?? []
  const meant = known.includes(key) ? undefined : nearest(key, known)
  if (meant === undefined) return []
  const shown = JSON.stringify(`${map}:${key.slice(0, longestShown)}`)
  return [`Warning: ${shown} has no meaning here: did you mean ${map}:${meant}?`]
}
