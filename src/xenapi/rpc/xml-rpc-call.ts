// Reads the call in an XML-RPC text: `<methodCall>` with its parameters as Wire values.
import type { RpcRequest } from '../dispatch.ts'
import { readXml } from '../wire/read-xml.ts'
import type { Wire } from '../wire/values.ts'
import { datetime, float } from '../wire/values.ts'
import type { XmlToken } from '../wire/xml-tokens.ts'

/** XML that is no XML-RPC call; the message never quotes values, they may be passwords. */
export class XmlRpcError extends Error {}

/**
 * @param signal aborted when the client has left
 * @param network whose text it is; default: the server itself
 * @throws XmlError for what is no XML, XmlRpcError for what is no call
 */
export const readXmlCall = async (
  text: string,
  signal?: AbortSignal,
  network?: string,
): Promise<RpcRequest> => readCall(await readXml(text, signal, network))

const readCall = (tokens: readonly XmlToken[]): RpcRequest => {
  const cursor = createCursor(tokens)
  cursor.open('methodCall')
  cursor.open('methodName')
  const method = cursor.text().trim()
  cursor.close()
  const params: Wire[] = []
  if (cursor.tryOpen('params')) {
    while (cursor.tryOpen('param')) {
      params.push(readValue(cursor))
      cursor.close()
    }
    cursor.close()
  }
  cursor.close()
  cursor.end()
  return { method, params }
}

/** Reads tokens one after the other. Blanks between tags mean nothing. */
interface Cursor {
  /** The next element, which must have that name. */
  open(name: string): void
  /** Whether the next element has that name. */
  isAt(name: string): boolean
  /** Goes into the next element if it has that name. */
  tryOpen(name: string): boolean
  /** Goes into the next element, if there is one before the end of this; its name. */
  openAny(): string | undefined
  /** The end of the element. */
  close(): void
  /** All that stands here, blanks too; empty where a tag comes next. */
  text(): string
  /** The end of the document. */
  end(): void
}

const createCursor = (tokens: readonly XmlToken[]): Cursor => {
  let index = 0
  let next = tokens[index]
  const advance = (): void => {
    index += 1
    next = tokens[index]
  }
  const describe = (): string => {
    if (next === undefined) return 'the end'
    if (next.kind === 'text') return 'text'
    return `<${next.kind === 'close' ? '/' : ''}${next.name.slice(0, 32)}>`
  }
  const skipBlanks = (): void => {
    if (next?.kind === 'text' && next.text.trim() === '') advance()
  }
  const isAt = (name: string): boolean => {
    skipBlanks()
    return next?.kind === 'open' && next.name === name
  }
  const tryOpen = (name: string): boolean => {
    const isHere = isAt(name)
    if (isHere) advance()
    return isHere
  }
  return {
    isAt,
    tryOpen,
    open(name) {
      if (!tryOpen(name)) throw new XmlRpcError(`<${name}> expected, found ${describe()}`)
    },
    openAny() {
      if (next?.kind === 'text' && next.text.trim() !== '') return undefined
      skipBlanks()
      if (next?.kind !== 'open') return undefined
      const { name } = next
      advance()
      return name
    },
    close() {
      skipBlanks()
      if (next?.kind !== 'close') {
        throw new XmlRpcError(`the end of an element expected, found ${describe()}`)
      }
      advance()
    },
    text() {
      if (next?.kind !== 'text') return ''
      const { text } = next
      advance()
      return text
    },
    end() {
      if (next !== undefined) throw new XmlRpcError(`the end expected, found ${describe()}`)
    },
  }
}

const readValue = (cursor: Cursor): Wire => {
  cursor.open('value')
  // A string may stand bare, and then its blanks belong to it.
  const bare = cursor.text()
  const type = bare.trim() === '' ? cursor.openAny() : undefined
  if (type === undefined) {
    cursor.close()
    return bare
  }
  const value = readTyped(cursor, type)
  cursor.close()
  cursor.close()
  return value
}

const readTyped = (cursor: Cursor, type: string): Wire => {
  if (type === 'array') return readArray(cursor)
  if (type === 'struct') return readStruct(cursor)
  if (type === 'nil' || type === 'ex:nil') return null
  const read = Object.hasOwn(scalars, type) ? scalars[type] : undefined
  if (read === undefined) throw new XmlRpcError(`<${type.slice(0, 32)}> is no type of XenAPI`)
  const value = read(cursor.text())
  if (value === undefined) throw new XmlRpcError(`a malformed <${type}>`)
  return value
}

/** An integer within 2^53 is a number; the calls tell what is wrong with one that is not. */
const readInt = (text: string): Wire | undefined => {
  const digits = text.trim()
  if (!/^[-+]?\d{1,20}$/.test(digits)) return undefined
  const value = Number(digits)
  return Number.isSafeInteger(value) ? value : digits
}

const orUndefined = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

const scalars: Readonly<Record<string, (text: string) => Wire | undefined>> = {
  string: (text) => text,
  int: readInt,
  i4: readInt,
  i8: readInt,
  boolean: (text) => ({ 0: false, 1: true })[text.trim()],
  double: (text) => orUndefined(() => float.fromWire(text.trim(), 'double')),
  'dateTime.iso8601': (text) => orUndefined(() => datetime.fromWire(text.trim(), 'dateTime')),
}

const readArray = (cursor: Cursor): Wire => {
  cursor.open('data')
  const items: Wire[] = []
  while (cursor.isAt('value')) items.push(readValue(cursor))
  cursor.close()
  return items
}

const readStruct = (cursor: Cursor): Wire => {
  const members = new Map<string, Wire>()
  while (cursor.tryOpen('member')) {
    cursor.open('name')
    const name = cursor.text()
    cursor.close()
    if (members.has(name)) throw new XmlRpcError('a <struct> with two members of one name')
    members.set(name, readValue(cursor))
    cursor.close()
  }
  return Object.fromEntries(members)
}
