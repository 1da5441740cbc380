// `diskport user …` as it stands on the command line: what it asks for, or all that is wrong with
// it. Does nothing.

import { parseArgs } from 'node:util'
import type { Role } from '../catalog/schema.ts'
import { readDataFolder } from '../config.ts'
import { roles } from '../xenapi/roles.ts'

/** The lowest role that may import and export. */
const defaultRole: Role = 'vm-admin'

export interface UserAction {
  readonly name: 'list' | 'add' | 'passwd' | 'set-role' | 'remove'
  /** Empty for `list`. */
  readonly user: string
  /** For `add` and `set-role`. */
  readonly role: Role
}

type UserCommand =
  | { readonly kind: 'run'; readonly data: string; readonly action: UserAction }
  | { readonly kind: 'show'; readonly text: string }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }

/** What follows the name of each action. */
const operands = {
  list: [],
  add: ['NAME'],
  passwd: ['NAME'],
  'set-role': ['NAME', 'ROLE'],
  remove: ['NAME'],
} as const satisfies Record<UserAction['name'], readonly string[]>

const isAction = (name: string): name is UserAction['name'] => Object.hasOwn(operands, name)
const isRole = (name: string): name is Role => (roles as readonly string[]).includes(name)

/** @param args what stands behind `diskport user` */
export const readUserCommand = (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): UserCommand => {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return { kind: 'wrong', problems: [error instanceof Error ? error.message : String(error)] }
  }
  const { values, positionals } = parsed
  if (values.help === true) return { kind: 'show', text: helpText }

  const [name = '', user = '', roleName = values.role ?? defaultRole] = positionals
  const data = readDataFolder(values.data, environment)
  const problems = [
    ...usageProblems(positionals, values.role !== undefined),
    ...(isRole(roleName) ? [] : [`"${roleName}" is no role; the roles are ${roles.join(', ')}`]),
    ...('problem' in data ? [data.problem] : []),
  ]
  if (problems.length > 0 || !isAction(name) || !isRole(roleName) || 'problem' in data) {
    return { kind: 'wrong', problems: [...problems, 'diskport user --help tells more'] }
  }
  return { kind: 'run', data: data.path, action: { name, user, role: roleName } }
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: true,
    options: {
      data: { type: 'string' },
      role: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })

const usageProblems = ([name, ...given]: readonly string[], hasRole: boolean): string[] => {
  const known = Object.keys(operands).join(', ')
  if (name === undefined) return [`user must be followed by one of ${known}`]
  if (!isAction(name)) return [`There is no "user ${name}"; there are ${known}`]
  const expected = operands[name]
  const problems: string[] = []
  if (given.length !== expected.length) {
    const usage = ['user', name, ...expected].join(' ')
    problems.push(`It is "${usage}": ${expected.length} words follow ${name}, not ${given.length}`)
  }
  if (hasRole && name !== 'add') problems.push(`--role belongs to user add, not to user ${name}`)
  return problems
}

const helpText = `diskport user: manages users and their roles

usage: diskport user list
       diskport user add NAME [--role ROLE]
       diskport user passwd NAME
       diskport user set-role NAME ROLE
       diskport user remove NAME

  --data DIR      the data folder of the server (DISKPORT_DATA; default ./data)
  --role ROLE     ${roles.join(', ')};
                  each role includes those after it; default ${defaultRole}, which may import and export
  --help          print this and exit

A password is asked for at the terminal without being shown, or read as one line of standard input. It is never taken
from the command line. list prints one user a line: role, time of creation, name.

The server may run meanwhile; changes take effect at once. passwd and remove end the user's sessions; running
transfers go on. A server that is started with DISKPORT_ROOT_PASSWORD sets that password of root again.

The exit code is 0, 64 for wrong usage, or 1 for a failure.`
