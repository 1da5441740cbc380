// What a class of XenAPI is to xe: its fields in xe's order and spelling, each with where it lies
// in the record; and the words in which classes.ts writes them.

/** An object as XenAPI sends it. */
export type ApiRecord = Readonly<Record<string, unknown>>

/** A call of XenAPI that reads; the same call is made once in a command. */
export type Ask = (method: string, ...params: unknown[]) => Promise<unknown>

export interface CliField {
  /** xe's name: `sr-uuid`. */
  readonly name: string
  /** In the record: `SR`. */
  readonly key: string
  readonly kind: 'value' | 'ref' | 'refs' | 'set' | 'map' | 'computed'
  /** Whether `param-set` or, for sets and maps, `param-add` may change it. */
  readonly isWritable: boolean
  /** A set or map that xe shows as one value: `( RO)` and not `(SRO)`. */
  readonly isPlain: boolean
  readonly isDeprecated: boolean
  /** Of `ref` and `refs`: what it refers to. */
  readonly className?: string
  /** Of `computed`: the text, which may need more calls. */
  readonly read?: (record: ApiRecord, ask: Ask) => Promise<string>
  /** Bytes, which `param-set` takes with a unit, too. */
  readonly isSize?: boolean
  /** Whether filters ignore case. */
  readonly isCaseInsensitive?: boolean
  /** Between the members of a set. */
  readonly separator: string
}

export interface CliClass {
  /** As in commands: `vdi`. */
  readonly name: string
  /** As in calls: `VDI`. */
  readonly apiName: string
  readonly fields: readonly CliField[]
  /** What a list shows unless told; none: all. */
  readonly listed: readonly string[]
  /** What a list leaves out unless told, and with `--all` does not. */
  readonly filter: readonly (readonly [name: string, value: string])[]
}

type FieldOptions = Partial<Omit<CliField, 'name'>>

/** What xe shows in the place of an object that is not there. */
export const nothing = '<not in database>'

export const nullRef = 'OpaqueRef:NULL'

export const field = (name: string, options: FieldOptions = {}): CliField => ({
  name,
  key: name.replaceAll('-', '_'),
  kind: 'value',
  isWritable: false,
  isPlain: false,
  isDeprecated: false,
  separator: '; ',
  ...options,
})

export const writable = { isWritable: true }
export const plain = { isPlain: true }
export const deprecated = { isDeprecated: true }
export const set = { kind: 'set' } as const
export const map = { kind: 'map' } as const

export const refTo = (className: string, key: string): FieldOptions => ({
  kind: 'ref',
  className,
  key,
})

export const refsTo = (className: string, key: string): FieldOptions => ({
  kind: 'refs',
  className,
  key,
})

export const computed = (read: NonNullable<CliField['read']>): FieldOptions => ({
  kind: 'computed',
  read,
})

/** A field of the object that the record refers to. */
export const through = (className: string, key: string, fieldName: string): FieldOptions =>
  computed(async (record, ask) => {
    const ref = record[key]
    if (ref === nullRef) return nothing
    return String(await ask(`${className}.get_${fieldName}`, ref))
  })

export const nameOf = (className: string, key: string): FieldOptions =>
  through(className, key, 'name_label')
