// What a new catalog starts with, so that a client finds a pool, a host and a place for disks.
// server.ts calls it at every start; existing objects are left alone.

import { randomBytes } from 'node:crypto'
import { DEFAULT_FORMAT, formatsAtRest } from '../format-table.ts'
import type { Catalog } from './catalog.ts'

/** The type of the built-in storage repository and of its storage manager. */
const FILE_SR_TYPE = 'file'

const ADMINISTRATOR = 'root'

interface BootstrapOptions {
  /** Name and address of this server, for its host record. */
  readonly hostname: string
  readonly address?: string
  /** Of the user root, at this start and from now on; without it a new root gets a random one. */
  readonly rootPassword?: string
}

interface Bootstrapped {
  readonly poolUuid: string
  readonly hostUuid: string
  readonly srUuid: string
  /** Set once, if root was made without a given password. It cannot be read again. */
  readonly generatedPassword?: string
}

/** Each step looks first, so a start that was cut off goes on where it stopped. */
export const bootstrap = async (
  catalog: Catalog,
  options: BootstrapOptions,
): Promise<Bootstrapped> => {
  await ensureStorageManager(catalog)
  const srUuid = await ensureStorageRepository(catalog)
  const hostUuid = await ensureHost(catalog, options)
  await ensureNetwork(catalog)
  const poolUuid = await ensurePool(catalog, hostUuid, srUuid)
  const generatedPassword = await ensureAdministrator(catalog, options.rootPassword)
  return {
    poolUuid,
    hostUuid,
    srUuid,
    ...(generatedPassword === undefined ? {} : { generatedPassword }),
  }
}

const ensureStorageManager = async ({ sms }: Catalog): Promise<void> => {
  const found = (await sms.list()).find((sm) => sm.type === FILE_SR_TYPE)
  if (found !== undefined) {
    const { supportedImageFormats: known } = found
    const added = formatsAtRest.filter((format) => !known.includes(format))
    if (added.length === 0) return
    await sms.update(found.uuid, () => ({ supportedImageFormats: [...known, ...added] }))
    return
  }
  await sms.create({
    nameLabel: 'Local files',
    nameDescription: 'Disks as plain image files in a folder of the server',
    type: FILE_SR_TYPE,
    supportedImageFormats: formatsAtRest,
  })
}

const ensureStorageRepository = async ({ srs }: Catalog): Promise<string> => {
  const [first] = await srs.list()
  if (first !== undefined) return first.uuid
  const sr = await srs.create({
    nameLabel: 'Local storage',
    type: FILE_SR_TYPE,
    contentType: 'user',
    shared: false,
    path: '',
    defaultFormat: DEFAULT_FORMAT,
    smConfig: {},
    deviceConfig: {},
    readOnly: false,
    tags: [],
  })
  return sr.uuid
}

const ensureHost = async (
  { hosts }: Catalog,
  { hostname, address = '' }: BootstrapOptions,
): Promise<string> => {
  const [first] = await hosts.list()
  if (first === undefined) {
    const host = await hosts.create({ nameLabel: hostname, hostname, address, tags: [] })
    return host.uuid
  }
  // A start on a full disk must not fail if nothing has to be written.
  if (first.hostname !== hostname || first.address !== address) {
    await hosts.update(first.uuid, () => ({ hostname, address }))
  }
  return first.uuid
}

const ensureNetwork = async ({ networks }: Catalog): Promise<void> => {
  const [first] = await networks.list()
  if (first !== undefined) return
  await networks.create({
    nameLabel: 'Pool-wide network associated with eth0',
    bridge: 'xenbr0',
    mtu: 1500,
    tags: [],
  })
}

const ensurePool = async (
  { pools }: Catalog,
  masterUuid: string,
  defaultSrUuid: string,
): Promise<string> => {
  const [first] = await pools.list()
  if (first !== undefined) return first.uuid
  const pool = await pools.create({ masterUuid, defaultSrUuid, tags: [] })
  return pool.uuid
}

/** @returns the password that was made up, if one was */
const ensureAdministrator = async (
  { users }: Catalog,
  given: string | undefined,
): Promise<string | undefined> => {
  const user = await users.getByName(ADMINISTRATOR)
  if (user === undefined) {
    const password = given ?? randomBytes(18).toString('base64url')
    await users.create({ name: ADMINISTRATOR, password, role: 'pool-admin' })
    return given === undefined ? password : undefined
  }
  // An unchanged password stays, and with it the sessions.
  if (given !== undefined && (await users.verify(ADMINISTRATOR, given)) === undefined) {
    await users.setPassword(user.uuid, given)
  }
  return undefined
}
