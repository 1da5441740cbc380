// The thin CLI protocol of XenServer's xe, both directions: one table of messages, used to write
// and to read. Knows no socket. All integers are 32 bits, little-endian; a string is its length and
// its bytes.
//
//   preamble  "XenSource thin CLI protocol" ┬ major 0 ┬ minor 2
//   message   payload length ┬ group ┬ tag ┬ fields…
//
// A `chunk` is followed by its bytes, which are not part of the payload.

/** A message or preamble that breaks the protocol. */
export class ProtocolError extends Error {}

type FieldType = 'int' | 'string' | 'strings'

interface FieldValues {
  int: number
  string: string
  strings: readonly string[]
}

interface Layout {
  readonly group: number
  readonly tag: number
  readonly fields: Readonly<Record<string, FieldType>>
}

const COMMAND = 9
const RESPONSE = 10
const BLOB = 11

const layouts = {
  /** The client adds a newline. */
  print: { group: COMMAND, tag: 0, fields: { text: 'string' } },
  /** Send this file, in chunks, after `ok`. */
  load: { group: COMMAND, tag: 1, fields: { fileName: 'string' } },
  /** Send a line of your standard input, in chunks. */
  prompt: { group: COMMAND, tag: 3, fields: {} },
  /** The only end of a session, and the client's exit code. */
  exit: { group: COMMAND, tag: 4, fields: { code: 'int' } },
  httpGet: { group: COMMAND, tag: 12, fields: { fileName: 'string', url: 'string' } },
  httpPut: { group: COMMAND, tag: 13, fields: { fileName: 'string', url: 'string' } },
  error: { group: COMMAND, tag: 14, fields: { code: 'string', params: 'strings' } },
  debug: { group: COMMAND, tag: 15, fields: { text: 'string' } },
  /** The client adds nothing. */
  printStderr: { group: COMMAND, tag: 16, fields: { text: 'string' } },
  httpConnect: { group: COMMAND, tag: 17, fields: { url: 'string' } },
  ok: { group: RESPONSE, tag: 5, fields: {} },
  failed: { group: RESPONSE, tag: 6, fields: {} },
  /** A heartbeat: the client is still at it. */
  wait: { group: RESPONSE, tag: 18, fields: {} },
  /** So many bytes follow. */
  chunk: { group: BLOB, tag: 7, fields: { length: 'int' } },
  end: { group: BLOB, tag: 8, fields: {} },
} as const satisfies Record<string, Layout>

type Layouts = typeof layouts
type MessageKind = keyof Layouts

type FieldsOf<K extends MessageKind> = {
  readonly [F in keyof Layouts[K]['fields']]: Layouts[K]['fields'][F] extends FieldType
    ? FieldValues[Layouts[K]['fields'][F]]
    : never
}

export type MessageOf<K extends MessageKind> = { readonly kind: K } & FieldsOf<K>
export type Message = { [K in MessageKind]: MessageOf<K> }[MessageKind]

const greeting = Buffer.from('XenSource thin CLI protocol')

export const protocolVersion = { major: 0, minor: 2 }

export const preambleLength = greeting.length + 8

/** Bytes of the length before each message. */
export const prefixLength = 4

export const encodePreamble = (): Buffer =>
  Buffer.concat([greeting, int(protocolVersion.major), int(protocolVersion.minor)])

/**
 * @param bytes preambleLength of them
 * @throws ProtocolError for another protocol, or another major version of this one
 */
export const checkPreamble = (bytes: Buffer): void => {
  if (!bytes.subarray(0, greeting.length).equals(greeting)) {
    const found = JSON.stringify(bytes.toString('latin1'))
    throw new ProtocolError(`The other side does not speak the thin CLI protocol: ${found}`)
  }
  const major = bytes.readInt32LE(greeting.length)
  const minor = bytes.readInt32LE(greeting.length + 4)
  if (major !== protocolVersion.major) {
    const ours = `${protocolVersion.major}.${protocolVersion.minor}`
    throw new ProtocolError(`Version ${major}.${minor} of the thin CLI protocol, ours is ${ours}`)
  }
}

/** The message with its length before it. */
export const encodeMessage = (message: Message): Buffer => {
  const { group, tag, fields }: Layout = layouts[message.kind]
  const values = message as unknown as Readonly<Record<string, FieldValues[FieldType]>>
  const payload = Buffer.concat([
    int(group),
    int(tag),
    ...Object.keys(fields).map((name) => encodeField(values[name]!)),
  ])
  return Buffer.concat([int(payload.length), payload])
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

const encodeField = (value: FieldValues[FieldType]): Buffer => {
  if (typeof value === 'number') return int(value)
  if (typeof value !== 'string') {
    return Buffer.concat([int(value.length), ...value.map(encodeField)])
  }
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([int(bytes.length), bytes])
}

/**
 * The length of the payload that follows.
 * @param bytes prefixLength of them
 * @throws ProtocolError unless it is from 8 bytes to `maximum`
 */
export const decodeLength = (bytes: Buffer, maximum: number): number => {
  const length = bytes.readInt32LE()
  if (length < 8 || length > maximum) {
    throw new ProtocolError(`A message of ${length} bytes, it must have from 8 to ${maximum}`)
  }
  return length
}

/**
 * @param payload a message without its length
 * @throws ProtocolError for an unknown message, and for fields that do not fill the payload exactly
 */
export const decodeMessage = (payload: Buffer): Message => {
  let at = 0
  const readInt = (): number => {
    if (at + 4 > payload.length) throw short(payload, at + 4)
    at += 4
    return payload.readInt32LE(at - 4)
  }
  const readString = (): string => {
    const length = readInt()
    if (length < 0 || at + length > payload.length) throw short(payload, at + length)
    at += length
    return payload.toString('utf8', at - length, at)
  }
  const readStrings = (): string[] => {
    const count = readInt()
    if (count < 0 || at + count * 4 > payload.length) throw short(payload, at + count * 4)
    return Array.from({ length: count }, readString)
  }
  const readers = { int: readInt, string: readString, strings: readStrings }

  const group = readInt()
  const tag = readInt()
  const found = Object.entries<Layout>(layouts).find(
    ([, layout]) => layout.group === group && layout.tag === tag,
  )
  if (found === undefined) throw new ProtocolError(`Unknown message ${tag} of group ${group}`)
  const [kind, { fields }] = found
  const values = Object.entries(fields).map(([name, type]) => [name, readers[type]()] as const)
  if (at !== payload.length) {
    throw new ProtocolError(`${payload.length - at} bytes too many in the message ${kind}`)
  }
  return { kind, ...Object.fromEntries(values) } as Message
}

const short = (payload: Buffer, needed: number): ProtocolError =>
  new ProtocolError(`A message of ${payload.length} bytes, its fields need ${needed}`)
