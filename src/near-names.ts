// What a name that nobody knows was probably meant to be: for warnings about parameters that are
// ignored.

/** A longer name is no slip of the fingers, and would cost more to compare. */
const longestName = 64

/**
 * The known name that is nearest, at most two letters away: each letter too many, missing, wrong,
 * or changed with its neighbour counts as one. A known name of which letters were left out inside
 * (`fmt`) is near, too, and nearer than one that is two letters away.
 * @returns undefined where none is near
 */
export const nearest = (name: string, known: Iterable<string>): string | undefined => {
  if (name.length < 2 || name.length > longestName) return undefined
  const written = name.toLowerCase()
  // One letter of two says nothing.
  let most = written.length === 2 ? 1 : 2
  let found: string | undefined
  for (const candidate of known) {
    const abbreviated = isAbbreviation(written, candidate) ? 1.5 : Infinity
    const distance = Math.min(abbreviated, distanceOf(written, candidate))
    if (distance > most || (distance === most && found !== undefined)) continue
    found = candidate
    most = distance
  }
  return found
}

/** Of at least half the letters, the first and the last among them. */
const isAbbreviation = (name: string, known: string): boolean => {
  if (name.length * 2 < known.length || name[0] !== known[0]) return false
  if (name.at(-1) !== known.at(-1)) return false
  let from = 0
  for (const letter of name) {
    from = known.indexOf(letter, from) + 1
    if (from === 0) return false
  }
  return true
}

/** Optimal string alignment: the number of letters that one must change to get the other. */
const distanceOf = (from: string, to: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1]
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current.push(
        Math.min(
          last[column]! + 1,
          current[column - 1]! + 1,
          last[column - 1]! + (isSame ? 0 : 1),
          isSwapped && !isSame ? beforeLast[column - 2]! + 1 : Infinity,
        ),
      )
    }
    beforeLast = last
    last = current
  }
  return last[to.length]!
}
