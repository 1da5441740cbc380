// `xe help`: the commands, or the parameters of some of them. Needs no login.

import { CliError } from './cli-error.ts'
import type { Params } from './command-line.ts'
import type { Command } from './commands/command.ts'
import type { Printer } from './printer.ts'

const usage = `Usage:
  xe <command>
    [ -s <server> ]            the server
    [ -p <port> ]              its port
    [ -u <username> -pw <password> | -pwf <password file> ]
                               who is asking
    [ --nossl ]                without TLS
    [ --debug ]                tell what is done
    [ <other arguments> ... ]  of the command, as name=value

To get help on a specific command:
  xe help <command>
`

/** Columns in a list of commands. */
const listWidth = 76

/** The caller has no session. */
const maximumAsked = 100

/** @throws CliError where too many commands are asked for */
export const printHelp = (
  params: Params,
  minimal: boolean,
  commands: ReadonlyMap<string, Command>,
  print: Printer,
): void => {
  const asked = new Set(params.all.map(([name]) => name))
  if (asked.size > maximumAsked) {
    const found = `You asked for ${asked.size} commands`
    throw new CliError(`Error: ${found}, the limit is ${maximumAsked}: ask for fewer at once.`)
  }
  if (asked.size > 0) {
    for (const name of asked) printCommand(name, commands.get(name), print)
    return
  }
  const isAll = params.flag('all')
  const names = [...commands.values()]
    .filter((command) => isAll || command.isCommon === true)
    .map((command) => command.name)
  if (minimal) {
    print.lines(names)
    return
  }
  const title = isAll ? 'Full command list' : 'Common command list'
  const more = isAll ? '' : '\nTo get a full listing of commands:\n  xe help --all\n'
  print.lines([`${usage}${more}\n${title}\n${'-'.repeat(title.length)}`, ...inLines(names)])
}

const printCommand = (name: string, command: Command | undefined, print: Printer): void => {
  if (command === undefined) {
    print.lines([`Unknown command '${name}'`])
    return
  }
  print.records([
    [
      ['command name        ', name],
      ['reqd params     ', command.required.join(', ')],
      ['optional params ', command.optional.join(', ')],
      ['description     ', command.help],
    ],
  ])
}

/** Names parted by commas, in indented lines. */
const inLines = (names: readonly string[]): string[] => {
  const lines: string[] = []
  let line = ''
  for (const name of names) {
    if (line !== '' && line.length + name.length + 2 > listWidth) {
      lines.push(`    ${line}`)
      line = name
    } else line = line === '' ? name : `${line}, ${name}`
  }
  return [...lines, `    ${line}`]
}
