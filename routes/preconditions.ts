// RFC 9110, section 13: the conditions of a request, held against the content that is there now.
// Called before a byte of a body is read or sent.

import { AppError } from '../src/errors.ts'

/** The headers of a request that may hold conditions. Names in lower case. */
export interface ConditionHeaders {
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
  readonly 'if-modified-since'?: string | undefined
  readonly 'if-unmodified-since'?: string | undefined
}

/** What conditions are held against. */
export interface Validators {
  /** Quoted, and weak where they begin with W/; each of them names the present content. */
  readonly etags: readonly string[]
  /** To the millisecond, or later than the last change; undefined where it is not known. */
  readonly changedAt?: Date
}

/** The request must not be carried out: 412. */
export class PreconditionFailedError extends AppError {
  /** Of the present content, where one tag alone names it. */
  readonly etag: string | undefined

  constructor(header: string, value: string, found: string, etag?: string) {
    super('INVALID_VALUE', [header, value], { message: `${header} does not hold: ${found}` })
    this.etag = etag
  }
}

/** Whether any header holds a condition that a PUT must meet. */
export const hasConditions = (headers: ConditionHeaders): boolean =>
  headers['if-match'] !== undefined ||
  headers['if-none-match'] !== undefined ||
  headers['if-unmodified-since'] !== undefined

/**
 * The conditions in the order of section 13.2.2.
 * @param present undefined: there is no such content yet
 * @returns `not-modified` only for GET and HEAD: answer 304
 * @throws PreconditionFailedError; AppError INVALID_VALUE for a condition that cannot be understood
 */
export const checkPreconditions = (
  method: string,
  headers: ConditionHeaders,
  present: Validators | undefined,
): 'proceed' | 'not-modified' => {
  requireMatch(headers, present)
  const reads = method === 'GET' || method === 'HEAD'
  const noneMatch = headers['if-none-match']
  if (noneMatch !== undefined) {
    if (present === undefined || !matches('If-None-Match', noneMatch, present.etags, 'weak')) {
      return 'proceed'
    }
    if (reads) return 'not-modified'
    const found =
      noneMatch.trim() === '*' ? 'there is content already' : 'the content has that ETag'
    throw new PreconditionFailedError('If-None-Match', noneMatch, found, soleTag(present))
  }
  const since = reads ? parseDate(headers['if-modified-since']) : undefined
  // Section 13.1.3: a date that cannot be understood is no condition.
  if (since === undefined || present?.changedAt === undefined) return 'proceed'
  return present.changedAt <= since ? 'not-modified' : 'proceed'
}

/** If-Match, or where it is absent If-Unmodified-Since. */
const requireMatch = (headers: ConditionHeaders, present: Validators | undefined): void => {
  const match = headers['if-match']
  if (match !== undefined) {
    if (present === undefined) {
      throw new PreconditionFailedError('If-Match', match, 'there is no content yet')
    }
    if (matches('If-Match', match, present.etags, 'strong')) return
    const isWeak = present.etags.every((tag) => tag.startsWith('W/'))
    const found = isWeak
      ? 'the ETag is weak, and compared strongly such a one never matches'
      : 'the content has another ETag now'
    throw new PreconditionFailedError('If-Match', match, found, soleTag(present))
  }
  const unmodified = headers['if-unmodified-since']
  if (unmodified === undefined || present === undefined) return
  const since = parseDate(unmodified)
  if (since === undefined) throw unreadable('If-Unmodified-Since', unmodified, 'an HTTP date')
  const { changedAt } = present
  if (changedAt !== undefined && changedAt <= since) return
  const found =
    changedAt === undefined
      ? 'it is not known when the content was changed: use If-Match'
      : `the content was changed at ${changedAt.toISOString()}`
  throw new PreconditionFailedError('If-Unmodified-Since', unmodified, found, soleTag(present))
}

const soleTag = ({ etags }: Validators): string | undefined =>
  etags.length === 1 ? etags[0] : undefined

// Section 8.8.3: each step takes one tag and the comma behind it.
const nextTag = /[ \t]*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)/y

/** @throws AppError INVALID_VALUE for what is no list of ETags */
const matches = (
  header: string,
  value: string,
  etags: readonly string[],
  comparison: 'strong' | 'weak',
): boolean => {
  if (value.trim() === '*') return true
  nextTag.lastIndex = 0
  let isFound = false
  do {
    const [, weak, tag] = nextTag.exec(value) ?? []
    if (tag === undefined) throw unreadable(header, value, '* or ETags in double quotes')
    // Section 8.8.3.2: of two tags that are the same strongly, neither is weak.
    if (comparison === 'strong') isFound ||= weak === undefined && etags.includes(tag)
    else isFound ||= etags.includes(tag) || etags.includes(`W/${tag}`)
  } while (nextTag.lastIndex < value.length)
  return isFound
}

const unreadable = (header: string, value: string, expected: string): AppError =>
  new AppError('INVALID_VALUE', [header, value], {
    message: `${header} is "${value}", must be ${expected}`,
  })

// Section 5.6.7: the form of today, and the two that RFC 850 and asctime() had.
const httpDates = [
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
]

/** Undefined for what is no HTTP date. */
const parseDate = (value: string | undefined): Date | undefined => {
  if (value === undefined || !httpDates.some((form) => form.test(value))) return undefined
  const date = new Date(value.endsWith('GMT') ? value : `${value} GMT`)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/**
 * The Last-Modified of content that was changed at `changedAt`: the first whole second that is not
 * before it, so that content which came later in the same second has another one. Undefined while
 * that second is not over.
 */
export const lastModifiedOf = (changedAt: Date, now: Date): string | undefined => {
  const second = Math.ceil(changedAt.getTime() / 1000) * 1000
  return second > now.getTime() ? undefined : new Date(second).toUTCString()
}
