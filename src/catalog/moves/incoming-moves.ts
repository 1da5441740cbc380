// VMs that come from other servers. The destination decides: a move is open until it is committed,
// in one transaction, or given up. One that is given up leaves no row, so that whoever asks for an
// unknown one is told that nothing came of it.

import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import { duplicateVm, handleInvalid } from '../../object-errors.ts'
import { incomingMoveLimit, movedVmLimit, objectBounds, requireWithin } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { IncomingMoveTable, IncomingVmTable, SentVdi } from './move-tables.ts'
import type { Queries, Statements, Transaction } from '../transaction.ts'
import { hashSecret, randomSecret } from '../users/secrets.ts'
import type { VdiRow } from '../vdis.ts'
import { removeVdis } from '../vdis.ts'
import { commitMove } from './commit-move.ts'
import { findMove, requireOpenAttempt, tooMany } from './move-rows.ts'

export type IncomingMoveRow = Readonly<Omit<IncomingMoveTable, 'secretHash'>>

export type IncomingVm = Readonly<Omit<IncomingVmTable, 'incomingMoveUuid' | 'position'>>

/** How exactly the last use is known, in milliseconds: a write a call would be too much. */
const touchInterval = 60_000

export interface IncomingMoves {
  /**
   * @returns it, with the secret that its source shows, which is stored nowhere
   * @throws AppError TOO_BUSY where as many are open as may be
   */
  open(move: NewIncomingMove): Promise<IncomingMoveRow & { readonly secret: string }>

  /**
   * Begins an attempt to bring the VM; what an earlier one has brought goes.
   * @returns it, with a secret of its own, and the storage repositories where the VDIs lay that go
   * @throws AppError HANDLE_INVALID where the invitation is not open
   */
  begin(
    invitationUuid: string,
  ): Promise<IncomingMoveRow & { readonly secret: string; readonly srUuids: readonly string[] }>

  /** @throws AppError HANDLE_INVALID for one that is not there */
  get(moveUuid: string): Promise<IncomingMoveRow>

  /** The move of that secret, used now; undefined for any other text. */
  find(secret: string): Promise<IncomingMoveRow | undefined>

  /** Whether that is the secret of a move, which does not count as used by this. */
  isSecret(text: string): Promise<boolean>

  /**
   * One more VM or snapshot that will be there after the commit; the last is the VM itself. Adding
   * one again changes nothing.
   * @throws AppError HANDLE_INVALID where the move is not open; DUPLICATE_VM where such a VM is
   *   here or on its way; INVALID_VALUE for one that is too large, or one too many
   */
  addVm(moveUuid: string, vm: IncomingVm): Promise<void>

  /**
   * What a VDI of the move is, once all is written into it.
   * @throws AppError HANDLE_INVALID for one that the move does not bring
   */
  completeVdi(moveUuid: string, vdi: CompletedVdiRow): Promise<void>

  /**
   * All VMs of the move are here from now on, with the VDIs that are named; its others go. Again:
   * changes nothing.
   * @param vdis all that its source has sent, with what it was told of their content
   * @returns the uuid of the VM
   * @throws AppError HANDLE_INVALID where the move has been given up; OPERATION_NOT_ALLOWED where
   *   it has no VM; VDI_MISSING for a VDI that is not there as it was sent; DUPLICATE_VM; what
   *   Vbds.create and Vifs.create throw
   */
  commit(moveUuid: string, vdis: readonly SentVdi[]): Promise<string>

  /**
   * Gives up an open move; its VDIs go, and with an invitation its attempt. Harmless for one that
   * is not there.
   * @returns the storage repositories where they lay
   * @throws AppError OPERATION_NOT_ALLOWED for a committed one
   */
  abort(moveUuid: string): Promise<readonly string[]>

  /** Forgets a committed move, whose source knows the outcome. Harmless for any other. */
  forget(moveUuid: string): Promise<void>

  /**
   * Gives up the open moves that were not used since then.
   * @param isBusy whether something of a VDI is under way
   * @returns their uuids, and the storage repositories where their VDIs lay
   */
  expire(
    usedBefore: Date,
    isBusy: (vdiUuid: string) => boolean,
  ): Promise<{ readonly moves: readonly string[]; readonly srUuids: readonly string[] }>
}

type CompletedVdiRow = Pick<
  VdiRow,
  'uuid' | 'readOnly' | 'isSnapshot' | 'snapshotOfUuid' | 'snapshotTime'
>

type NewIncomingMove = Pick<IncomingMoveTable, 'networkUuid'> & { readonly userUuid: string }

export const createIncomingMoves = (database: Database, now: () => Date): IncomingMoves => ({
  open: ({ userUuid, networkUuid }) =>
    database.transaction(async ({ db }) => {
      await requireFew(db)
      return insertMove(db, { userUuid, networkUuid, invitationUuid: null }, now)
    }),
  begin: (invitationUuid) =>
    database.transaction(async (transaction) => {
      const { db } = transaction
      const invitation = await findMove(db, invitationUuid)
      if (invitation?.state !== 'open' || invitation.invitationUuid !== null) {
        throw handleInvalid('incoming_move', invitationUuid)
      }
      const srUuids = await removeAttempts(transaction, invitationUuid)
      await touch(db, invitationUuid, now())
      const { userUuid, networkUuid } = invitation
      return { ...(await insertMove(db, { userUuid, networkUuid, invitationUuid }, now)), srUuids }
    }),
  async get(moveUuid) {
    const move = await findMove(database.db, moveUuid)
    if (move === undefined) throw handleInvalid('incoming_move', moveUuid)
    return withoutHash(move)
  },
  async find(secret) {
    const found = await database.db
      .selectFrom('incomingMoves')
      .selectAll()
      .where('secretHash', '=', hashSecret(secret))
      .executeTakeFirst()
    if (found === undefined) return undefined
    const row = withoutHash(found)
    const lastActiveAt = now()
    if (lastActiveAt.getTime() - row.lastActiveAt.getTime() < touchInterval) return row
    await database.transaction(({ db }) => touch(db, row.uuid, lastActiveAt))
    return { ...row, lastActiveAt }
  },
  async isSecret(text) {
    const rows = database.db.selectFrom('incomingMoves').select('uuid')
    return (await rows.where('secretHash', '=', hashSecret(text)).executeTakeFirst()) !== undefined
  },
  addVm: (moveUuid, vm) =>
    database.transaction(async ({ db }) => {
      await requireOpenAttempt(db, moveUuid)
      const known = await db
        .selectFrom('incomingVms')
        .select('incomingMoveUuid')
        .where('uuid', '=', vm.uuid)
        .executeTakeFirst()
      if (known?.incomingMoveUuid === moveUuid) return
      const here = db.selectFrom('vms').select('uuid').where('uuid', '=', vm.uuid)
      if (known !== undefined || (await here.executeTakeFirst()) !== undefined) {
        throw duplicateVm(vm.uuid)
      }
      const { count } = await db
        .selectFrom('incomingVms')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('incomingMoveUuid', '=', moveUuid)
        .executeTakeFirstOrThrow()
      if (count >= movedVmLimit) throw tooMany('vm', 'VMs and snapshots', movedVmLimit)
      requireWithin(objectBounds, vm.vm)
      for (const device of [...vm.vbds, ...vm.vifs]) requireWithin(objectBounds, device)
      const row = { ...vm, incomingMoveUuid: moveUuid, position: count }
      await db.insertInto('incomingVms').values(row).execute()
    }),
  completeVdi: (moveUuid, { uuid, ...changes }) =>
    database.transaction(async (transaction) => {
      const { snapshotOfUuid } = changes
      await requireVdi(transaction.db, moveUuid, uuid)
      if (snapshotOfUuid !== null) await requireVdi(transaction.db, moveUuid, snapshotOfUuid)
      await transaction.untold.updateTable('vdis').set(changes).where('uuid', '=', uuid).execute()
    }),
  commit: (moveUuid, vdis) =>
    database.transaction(async (transaction) => {
      const move = await findMove(transaction.db, moveUuid)
      if (move === undefined) throw handleInvalid('incoming_move', moveUuid)
      return move.vmUuid ?? commitMove(transaction, move, vdis, now)
    }),
  abort: (moveUuid) =>
    database.transaction(async (transaction) => {
      const move = await findMove(transaction.db, moveUuid)
      if (move?.state === 'committed') {
        throw new AppError('OPERATION_NOT_ALLOWED', [`The move ${moveUuid} has been committed`])
      }
      const left = await removeAttempts(transaction, moveUuid)
      return [...left, ...(await removeMove(transaction, moveUuid))]
    }),
  forget: (moveUuid) =>
    database.transaction(async ({ db }) => {
      await db
        .deleteFrom('incomingMoves')
        .where('uuid', '=', moveUuid)
        .where('state', '=', 'committed')
        .execute()
    }),
  expire: (usedBefore, isBusy) =>
    database.transaction(async (transaction) => {
      const open = await transaction.db
        .selectFrom('incomingMoves')
        .select(['uuid', 'invitationUuid', 'lastActiveAt'])
        .where('state', '=', 'open')
        .execute()
      // An invitation is in use as long as its attempt is there.
      const used = new Set(open.map(({ invitationUuid }) => invitationUuid))
      const old = open.filter(
        ({ uuid, lastActiveAt }) => lastActiveAt < usedBefore && !used.has(uuid),
      )
      const moves: string[] = []
      const srUuids = new Set<string>()
      for (const { uuid } of old) {
        if ((await vdisOf(transaction.db, uuid)).some((vdi) => isBusy(vdi.uuid))) {
          // A long upload is one use: what comes after it has its time from now on.
          await touch(transaction.db, uuid, now())
          continue
        }
        for (const srUuid of await removeMove(transaction, uuid)) srUuids.add(srUuid)
        moves.push(uuid)
      }
      return { moves, srUuids: [...srUuids] }
    }),
})

const insertMove = async (
  db: Statements,
  move: Pick<IncomingMoveTable, 'userUuid' | 'networkUuid' | 'invitationUuid'>,
  now: () => Date,
): Promise<IncomingMoveRow & { readonly secret: string }> => {
  const secret = randomSecret()
  const row = {
    ...move,
    uuid: randomUUID(),
    state: 'open' as const,
    vmUuid: null,
    createdAt: now(),
    lastActiveAt: now(),
  }
  await db
    .insertInto('incomingMoves')
    .values({ ...row, secretHash: hashSecret(secret) })
    .execute()
  return { ...row, secret }
}

const requireFew = async (db: Queries): Promise<void> => {
  const { count } = await db
    .selectFrom('incomingMoves')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '=', 'open')
    .where('invitationUuid', 'is', null)
    .executeTakeFirstOrThrow()
  if (count < incomingMoveLimit) return
  const message = `${count} VMs are on their way here; the limit is ${incomingMoveLimit}`
  throw new AppError('TOO_BUSY', [], { message })
}

const touch = async (db: Statements, uuid: string, lastActiveAt: Date): Promise<void> => {
  await db.updateTable('incomingMoves').set({ lastActiveAt }).where('uuid', '=', uuid).execute()
}

const withoutHash = ({ secretHash: _hash, ...row }: IncomingMoveTable): IncomingMoveRow => row

const vdisOf = (db: Queries, moveUuid: string): Promise<VdiRow[]> =>
  db.selectFrom('vdis').selectAll().where('incomingMoveUuid', '=', moveUuid).execute()

const requireVdi = async (db: Queries, moveUuid: string, uuid: string): Promise<void> => {
  const vdi = await db
    .selectFrom('vdis')
    .select('uuid')
    .where('uuid', '=', uuid)
    .where('incomingMoveUuid', '=', moveUuid)
    .executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
}

/** @returns the storage repositories where their VDIs lay */
const removeAttempts = async (
  transaction: Transaction,
  invitationUuid: string,
): Promise<string[]> => {
  const attempts = await transaction.db
    .selectFrom('incomingMoves')
    .select('uuid')
    .where('invitationUuid', '=', invitationUuid)
    .where('state', '=', 'open')
    .execute()
  const srUuids: string[] = []
  for (const { uuid } of attempts) srUuids.push(...(await removeMove(transaction, uuid)))
  return srUuids
}

const removeMove = async (transaction: Transaction, moveUuid: string): Promise<string[]> => {
  const srUuids = await removeVdis(transaction, await vdisOf(transaction.db, moveUuid))
  await transaction.db.deleteFrom('incomingMoves').where('uuid', '=', moveUuid).execute()
  return srUuids
}
