// Who may do what: XenAPI's roles are a ladder, each may do what those below it may.

import type { Role } from '../catalog/schema.ts'
import { AppError } from '../errors.ts'
import type { Identity } from './authenticate.ts'

/** From most to least. */
export const roles: readonly Role[] = [
  'pool-admin',
  'pool-operator',
  'vm-power-admin',
  'vm-admin',
  'vm-operator',
  'read-only',
]

/** The lowest role for each HTTP handler; those of calls stand with the calls. */
export const httpPermissions = {
  'http/get_export_raw_vdi': 'vm-admin',
  'http/put_import_raw_vdi': 'vm-admin',
  'http/get_export': 'vm-admin',
  'http/put_import': 'vm-admin',
} as const satisfies Record<string, Role>

/** This role and those above it. */
export const rolesFrom = (lowest: Role): readonly Role[] =>
  roles.slice(0, roles.indexOf(lowest) + 1)

export const hasRole = (identity: Identity, lowest: Role): boolean =>
  roles.indexOf(identity.user.role) <= roles.indexOf(lowest)

export const roleDenied = (identity: Identity, lowest: Role, permission: string): AppError => {
  const allowed = rolesFrom(lowest).join(', ')
  return new AppError('RBAC_PERMISSION_DENIED', [
    permission,
    `the role ${identity.user.role} does not have it, these do: ${allowed}`,
  ])
}

/** What the session of a move may ask beside its own calls: which server this is. */
const openToMoves = 'host.get_software_version'

/** Whether a session is of the kind that the call is for. */
export const isForSession = (
  { moveUuid }: Identity,
  method: { readonly name: string; readonly isForMoves: boolean },
): boolean => method.isForMoves === (moveUuid !== undefined) || method.name === openToMoves

/** The session of a move may do what brings its VM, and no other session may. */
export const moveDenied = ({ moveUuid }: Identity, permission: string): AppError => {
  const found =
    moveUuid === undefined
      ? 'it needs the session that host.migrate_receive gave'
      : `the session of the move ${moveUuid} is for that alone`
  return new AppError('RBAC_PERMISSION_DENIED', [permission, found])
}

/** @throws AppError RBAC_PERMISSION_DENIED */
export const requireHttpPermission = (
  identity: Identity,
  permission: keyof typeof httpPermissions,
  log: { info(fields: object, message: string): void },
): void => {
  const isImport = permission === 'http/put_import_raw_vdi'
  const isOfMove = identity.moveUuid !== undefined && !isImport
  if (!isOfMove && hasRole(identity, httpPermissions[permission])) return
  const denied = isOfMove
    ? moveDenied(identity, permission)
    : roleDenied(identity, httpPermissions[permission], permission)
  const line = { user: identity.user.name, method: permission, outcome: denied.code }
  log.info({ audit: line }, 'audit')
  throw denied
}
