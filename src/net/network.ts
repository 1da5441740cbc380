// Which addresses count as one sender.

import { isIPv6 } from 'node:net'

/**
 * An IPv4 address itself, in any notation; the /64 of an IPv6 address, because a client that has
 * one address of a /64 usually has them all.
 */
export const networkOf = (address: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [plain = ''] = address.split('%')
  if (!isIPv6(plain)) return address
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  // `::` stands for as many zeros as are missing; what follows it counts from the end.
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - groups.length - after.length
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...after]
  const first = all.slice(0, 4).map((group) => parseInt(group, 16).toString(16))
  return `${first.join(':')}::/64`
}
