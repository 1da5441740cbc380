// The conditions of get_all_records_where: `field "type" = "user" and not field "shared" = "true"`,
// true, false, and, or, not and brackets, as XenServer reads them.

import { AppError } from '../errors.ts'
import { formatDate, WireInt } from './wire/values.ts'
import type { XenRecord } from './class.ts'
import type { Wire } from './wire/values.ts'

type Condition = (record: XenRecord) => boolean

const MAXIMUM_LENGTH = 4096
const MAXIMUM_DEPTH = 32

/**
 * @throws AppError INVALID_VALUE naming the place that cannot be read, or a field that is unknown
 */
export const parseCondition = (text: string, fieldNames: ReadonlySet<string>): Condition => {
  const tokens = tokenize(text)
  let index = 0
  let depth = 0
  const fail = (expected: string): never => {
    const token = tokens[index]
    const found = token === undefined ? 'the end' : `${token.text} at character ${token.at}`
    throw queryError(text, `${expected} expected, found ${found}`)
  }
  const take = (word: string): boolean => {
    if (tokens[index]?.text !== word) return false
    index += 1
    return true
  }
  const takeLiteral = (what: string): string => {
    const token = tokens[index]
    if (token?.literal === undefined) return fail(what)
    index += 1
    return token.literal
  }
  const parseOr = (): Condition => {
    let left = parseAnd()
    while (take('or')) left = either(left, parseAnd())
    return left
  }
  const parseAnd = (): Condition => {
    let left = parseOne()
    while (take('and')) left = both(left, parseOne())
    return left
  }
  const parseOne = (): Condition => {
    depth += 1
    if (depth > MAXIMUM_DEPTH) throw queryError(text, `nested deeper than ${MAXIMUM_DEPTH}`)
    const condition = parsePrimary()
    depth -= 1
    return condition
  }
  const parsePrimary = (): Condition => {
    if (take('true')) return () => true
    if (take('false')) return () => false
    if (take('not')) {
      const inner = parseOne()
      return (record) => !inner(record)
    }
    if (take('(')) {
      const inner = parseOr()
      return take(')') ? inner : fail(')')
    }
    return parseComparison()
  }
  const parseComparison = (): Condition => {
    const left = parseOperand()
    if (!take('=')) return fail('=')
    const right = parseOperand()
    return (record) => left(record) === right(record)
  }
  const parseOperand = (): ((record: XenRecord) => string) => {
    if (!take('field')) {
      const literal = takeLiteral('a condition, a field or a text in quotes')
      return () => literal
    }
    // XenServer's database writes name_label as name__label.
    const name = takeLiteral('the name of a field in quotes').replaceAll('__', '_')
    if (!fieldNames.has(name)) throw queryError(text, `there is no field "${name}"`)
    return (record) => comparable(record[name] ?? '')
  }

  const condition = parseOr()
  return index === tokens.length ? condition : fail('the end')
}

const either =
  (left: Condition, right: Condition): Condition =>
  (record) =>
    left(record) || right(record)

const both =
  (left: Condition, right: Condition): Condition =>
  (record) =>
    left(record) && right(record)

interface Token {
  readonly text: string
  readonly at: number
  /** What stands between quotes. */
  readonly literal?: string
}

const tokenPattern = /\s*(?:([()=])|(true|false|and|or|not|field)\b|"((?:[^"\\]|\\.)*)"|'([^']*)')/y

const tokenize = (text: string): Token[] => {
  if (text.length > MAXIMUM_LENGTH) {
    throw queryError(text.slice(0, 64), `longer than ${MAXIMUM_LENGTH} characters`)
  }
  const tokens: Token[] = []
  const end = text.trimEnd().length
  for (let at = 0; at < end;) {
    tokenPattern.lastIndex = at
    const match = tokenPattern.exec(text)
    if (match === null) throw queryError(text, `nothing known at character ${at}`)
    const [, sign, word, double, single] = match
    const literal = double?.replaceAll(/\\(.)/g, '$1') ?? single
    const token = { text: sign ?? word ?? 'a text', at }
    tokens.push(literal === undefined ? token : { ...token, literal })
    at = tokenPattern.lastIndex
  }
  return tokens
}

/** Values as XenServer's database compares them: as texts. */
const comparable = (value: Wire): string => {
  if (value instanceof Date) return formatDate(value)
  if (value instanceof WireInt) return String(value)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const queryError = (text: string, found: string): AppError =>
  new AppError('INVALID_VALUE', ['expr', text.slice(0, 64)], {
    message: `Cannot read the condition: ${found}`,
  })
