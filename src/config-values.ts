// How the values of settings are written, and what is wrong with others: for config.ts, which reads
// them.

import { isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { parseSize } from './units.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export const listenSchema = z.string().transform((text, context) => {
  // [::1]:8080, 0.0.0.0:8080, localhost:8080, :8080 (all addresses), 8080 (this machine only)
  const match = /^(?:\[([0-9a-f:.]+)\]:|([^:[\]]*):)?(\d{1,5})$/i.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    context.addIssue({ code: 'custom', message: 'must be HOST:PORT with a port from 0 to 65535' })
    return z.NEVER
  }
  const named = match[1] ?? match[2]
  return { host: named === undefined ? '127.0.0.1' : named || '::', port }
})

export const countSchema = (minimum: number, maximum: number) => {
  const message = `must be a whole number from ${minimum} to ${maximum}`
  return z
    .string()
    .regex(/^\d{1,6}$/, message)
    .transform(Number)
    .refine((count) => count >= minimum && count <= maximum, message)
}

/** Nothing, or an address that only this machine reaches. */
export const listenPlainSchema = z
  .literal('')
  .transform(() => undefined)
  .or(
    listenSchema.refine(
      ({ host }) => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host),
      'must be localhost, ::1 or an address of 127.0.0.0/8: plain HTTP shows passwords to everybody on the way',
    ),
  )

/** Nothing, or a file. */
export const fileSchema = z.string().transform((path) => (path === '' ? undefined : resolve(path)))

/** Nothing, or the URL of a server. */
export const urlSchema = z.string().transform((text, context) => {
  if (text === '') return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isServer = url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/'
  if (isServer && url.search === '' && url.hash === '' && url.username === '') return url.origin
  const message = 'must be the URL of a server without a path, such as https://diskport.example'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

/** Nothing, or a number of bytes, which may have a unit. */
export const sizeSchema = z.string().transform((text, context) => {
  if (text === '') return undefined
  const size = parseSize(text)
  if (size !== undefined && size > 0) return size
  context.addIssue({ code: 'custom', message: 'must be a size above 0, such as 100GiB' })
  return z.NEVER
})

export const dataSchema = z
  .string()
  .min(1, 'must name a folder')
  .transform((path) => resolve(path))

/** Parted by colons, as in PATH. */
export const rootsSchema = z
  .string()
  .transform((text) => (text === '' ? [] : text.split(':')))
  .refine((paths) => paths.every((path) => isAbsolute(path)), 'must be absolute paths')
  .transform((paths) => paths.map((path) => resolve(path)))

export const rootPasswordSchema = z
  .string()
  .min(1, 'must not be empty')
  .max(1024, 'must be at most 1024 characters')
  .optional()
