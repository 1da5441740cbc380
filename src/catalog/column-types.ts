// What tables have in common.

/** XenAPI's `(string → string) map`. */
export type StringMap = Readonly<Record<string, string>>

export interface NamedTable {
  uuid: string
  nameLabel: string
  nameDescription: string
  otherConfig: StringMap
  createdAt: Date
}
