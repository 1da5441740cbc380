// A client of /jsonrpc, as small as one can be.

import { rootPassword, type TestServer } from './server.ts'

/** What the server answered instead of a result. */
export class RpcError extends Error {
  readonly code: string
  readonly params: readonly string[]

  constructor(code: string, params: readonly string[]) {
    super(`${code} [${params.join(', ')}]`)
    this.code = code
    this.params = params
  }
}

/** A call as it stands: the session, where there is one, is the first parameter. */
export const callWith = async (
  server: TestServer,
  method: string,
  params: unknown[],
): Promise<unknown> => {
  const response = await fetch(`${server.url}/jsonrpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method, params }),
  })
  const answer = (await response.json()) as {
    result?: unknown
    error?: { message: string; data?: string[] }
  }
  if (answer.error !== undefined) throw new RpcError(answer.error.message, answer.error.data ?? [])
  return answer.result
}

export type Rpc = (<T = unknown>(method: string, ...params: unknown[]) => Promise<T>) & {
  /** For `session_id=`. */
  readonly session: string
}

/**
 * Logs in, unless told otherwise as root; the function it gives calls a method with the session put
 * first.
 */
export const login = async (
  server: TestServer,
  name = 'root',
  password = rootPassword,
): Promise<Rpc> => {
  const session = (await callWith(server, 'session.login_with_password', [
    name,
    password,
  ])) as string
  const call = async <T>(method: string, ...params: unknown[]): Promise<T> =>
    (await callWith(server, method, [session, ...params])) as T
  return Object.assign(call, { session })
}

/** The fields of a task that tests look at. */
export interface TaskRecord {
  readonly status: string
  readonly progress: number
  readonly result: string
  readonly error_info: readonly string[]
}

/** An empty VDI on the first SR; gives its ref and uuid. */
export const createVdi = async (
  rpc: Rpc,
  virtualSize: number,
  extra: Record<string, unknown> = {},
): Promise<{ ref: string; uuid: string }> => {
  const [sr] = Object.keys(await rpc<Record<string, unknown>>('SR.get_all_records'))
  const ref = await rpc<string>('VDI.create', {
    name_label: 'test',
    name_description: '',
    SR: sr,
    virtual_size: String(virtualSize),
    type: 'user',
    sharable: false,
    read_only: false,
    other_config: {},
    sm_config: {},
    ...extra,
  })
  const { uuid } = await rpc<{ uuid: string }>('VDI.get_record', ref)
  return { ref, uuid }
}
