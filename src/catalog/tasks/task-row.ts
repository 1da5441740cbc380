// A task as the catalog knows it: the type that all files about tasks share.

import type { TaskTable } from '../schema.ts'

export type TaskRow = Readonly<TaskTable>
