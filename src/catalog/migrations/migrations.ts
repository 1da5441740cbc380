// All migrations in order, by name. Imported and not read from the folder, so that they are there
// in a compiled package too.

import type { Migration } from 'kysely/migration'
import * as initial from './0001-initial.ts'
import * as snapshotsAndFolders from './0002-snapshots-and-folders.ts'
import * as missingDisks from './0003-missing-disks.ts'
import * as destroyedFiles from './0004-destroyed-files.ts'
import * as changedDisks from './0005-changed-disks.ts'
import * as pluggingAndBoot from './0006-plugging-and-boot.ts'
import * as tasksOfUsers from './0007-tasks-of-users.ts'
import * as formatsByTable from './0008-formats-by-table.ts'
import * as virtualMachines from './0009-virtual-machines.ts'
import * as moves from './0010-moves.ts'
import * as attempts from './0011-attempts.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001-initial': initial,
  '0002-snapshots-and-folders': snapshotsAndFolders,
  '0003-missing-disks': missingDisks,
  '0004-destroyed-files': destroyedFiles,
  '0005-changed-disks': changedDisks,
  '0006-plugging-and-boot': pluggingAndBoot,
  '0007-tasks-of-users': tasksOfUsers,
  '0008-formats-by-table': formatsByTable,
  '0009-virtual-machines': virtualMachines,
  '0010-moves': moves,
  '0011-attempts': attempts,
}
