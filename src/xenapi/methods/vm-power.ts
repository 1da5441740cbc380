// The calls that would make a VM run, or stop one. Each is refused: none runs here.

import type { Role } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { vmIsHalted } from '../../object-errors.ts'
import { findVm } from '../../operations/vm/find-vm.ts'
import type { Parameters, SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { bool, refTo, string, voidType } from '../wire/values.ts'

const start = { start_paused: parameter(bool), force: parameter(bool) }
const host = { host: parameter(refTo('host')) }

const refused = (
  name: string,
  role: Role,
  refuse: (uuid: string) => AppError,
  more: Parameters = {},
): SessionMethod =>
  defineMethod({
    name: `VM.${name}`,
    role,
    isAsync: true,
    parameters: { vm: parameter(refTo('VM')), ...more },
    result: voidType,
    async run({ context }, { vm }) {
      await findVm(context, vm, name)
      throw refuse(vm)
    },
  })

/** As XenServer answers of a halted VM. */
const needs =
  (expected: string) =>
  (uuid: string): AppError =>
    vmIsHalted(uuid, expected)

/** A halted VM might be started, but not here. */
const cannotStart = (uuid: string): AppError =>
  new AppError('OPERATION_NOT_ALLOWED', [`The VM ${uuid} cannot be started: no VM runs here`])

const noCheckpoint = (uuid: string): AppError => {
  const found = `The VM ${uuid} has no memory that a checkpoint could keep`
  return new AppError('OPERATION_NOT_ALLOWED', [`${found}; VM.snapshot keeps its disks`])
}

export const vmPowerMethods: readonly SessionMethod[] = [
  refused('start', 'vm-operator', cannotStart, start),
  refused('start_on', 'vm-power-admin', cannotStart, { ...host, ...start }),
  refused('resume', 'vm-operator', needs('suspended'), start),
  refused('resume_on', 'vm-power-admin', needs('suspended'), { ...host, ...start }),
  refused('pause', 'vm-operator', needs('running')),
  refused('unpause', 'vm-operator', needs('paused')),
  refused('suspend', 'vm-operator', needs('running')),
  refused('clean_shutdown', 'vm-operator', needs('running')),
  refused('shutdown', 'vm-operator', needs('running')),
  refused('hard_shutdown', 'vm-operator', needs('running')),
  refused('clean_reboot', 'vm-operator', needs('running')),
  refused('hard_reboot', 'vm-operator', needs('running')),
  refused('checkpoint', 'vm-power-admin', noCheckpoint, { new_name: parameter(string) }),
]
