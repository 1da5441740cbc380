// RFC 9110, section 12.5.3: whether an export is compressed on its way, by Accept-Encoding. Reads
// headers only; src/wrapping/content-codings.ts compresses.

import type { ContentCoding } from '../src/wrapping/content-codings.ts'
import { contentCodings } from '../src/wrapping/content-codings.ts'
import { RefusedHeaderError } from './error-response.ts'

interface Wish {
  /** In lower case; `*` for all that are not named. */
  readonly coding: string
  /** 0 to 1; 0 is "not acceptable". */
  readonly quality: number
}

interface CodingQuestion {
  /** The Accept-Encoding header; undefined where there is none. */
  readonly header: string | undefined
  /** The client says by a parameter that it means its header. */
  readonly isMeant: boolean
  /** Why only `identity` can be had; undefined where all codings can. */
  readonly onlyIdentity?: string
  /** It asks for a part, which only `identity` has. */
  readonly prefersIdentity: boolean
}

/**
 * @returns undefined for `identity`
 * @throws RefusedHeaderError 406 where nothing that the client accepts can be had
 */
export const chooseCoding = ({
  header,
  isMeant,
  onlyIdentity,
  prefersIdentity,
}: CodingQuestion): ContentCoding | undefined => {
  if (header === undefined) return undefined
  const wishes = parseWishes(header)
  const identity = identityQuality(wishes)
  if (identity > 0 && (prefersIdentity || onlyIdentity !== undefined)) return undefined
  if (identity > 0 && !isMeant && !isDeliberate(wishes)) return undefined
  const best = onlyIdentity === undefined ? bestCoding(wishes, identity) : undefined
  if (best !== undefined) return best
  if (identity > 0) return undefined
  const reason =
    onlyIdentity ?? `nothing else than ${contentCodings.join(', ')} and identity is had`
  throw new RefusedHeaderError(406, 'Accept-Encoding', header, `${reason}: accept identity`, {})
}

/** What is no coding with a weight is passed over. */
const parseWishes = (header: string): readonly Wish[] =>
  header.split(',').flatMap((element) => {
    const match =
      /^[ \t]*([!#$%&'*+.^_`|~\w-]+)[ \t]*(?:;[ \t]*q=([01](?:\.\d{0,3})?)[ \t]*)?$/i.exec(element)
    if (match === null) return []
    const coding = match[1]!.toLowerCase()
    const quality = Math.min(1, Number(match[2] ?? 1))
    return [{ coding: coding === 'x-gzip' ? 'gzip' : coding, quality }]
  })

const wishFor = (wishes: readonly Wish[], coding: string): Wish | undefined =>
  wishes.find((wish) => wish.coding === coding) ?? wishes.find((wish) => wish.coding === '*')

/** Acceptable, as the least of all, where nothing is said of it. */
const identityQuality = (wishes: readonly Wish[]): number =>
  wishFor(wishes, 'identity')?.quality ?? Number.MIN_VALUE

/**
 * Whether a person asks for a coding, and not a library for all that it knows: it says what it
 * thinks of `identity`, and names nothing that is not had here.
 */
const isDeliberate = (wishes: readonly Wish[]): boolean =>
  wishes.some(({ coding }) => coding === 'identity' || coding === '*') &&
  wishes.every(({ coding }) => ['identity', '*', ...contentCodings].includes(coding))

/** Undefined where `identity` is wanted at least as much, and the coding was not even named. */
const bestCoding = (wishes: readonly Wish[], identity: number): ContentCoding | undefined => {
  let best: ContentCoding | undefined
  let bestQuality = 0
  for (const coding of contentCodings) {
    const wish = wishFor(wishes, coding)
    if (wish === undefined || wish.quality <= bestQuality) continue
    const isNamed = wish.coding !== '*'
    if (wish.quality < identity || (wish.quality === identity && !isNamed)) continue
    best = coding
    bestQuality = wish.quality
  }
  return best
}
