// All commands of xe, by name.

import { cliClasses } from '../classes.ts'
import type { Command } from './command.ts'
import { recordCommands } from './record-commands.ts'
import { sessionCommands } from './session-commands.ts'
import { srCommands } from './sr-commands.ts'
import { machineCommands } from './machine-commands.ts'
import { transferCommands } from './transfer-commands.ts'
import { vdiCommands } from './vdi-commands.ts'
import { vmCommands } from './vm-commands.ts'
import { vmDeviceCommands } from './vm-device-commands.ts'
import { vmMigrateCommand } from './vm-migrate.ts'

export const commands: ReadonlyMap<string, Command> = new Map(
  [
    ...cliClasses.flatMap(recordCommands),
    ...vdiCommands,
    ...vmCommands,
    ...vmDeviceCommands,
    vmMigrateCommand,
    ...transferCommands,
    ...machineCommands,
    ...srCommands,
    ...sessionCommands,
  ]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((command) => [command.name, command] as const),
)
