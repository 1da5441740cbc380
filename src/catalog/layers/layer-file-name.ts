// How the file of a layer is called: the one rule, for the catalog and the store alike.

import type { FormatName } from '../../format-table.ts'
import { endingOf } from '../../format-table.ts'

export interface NamedLayer {
  readonly uuid: string
  readonly format: FormatName
  /** Of a file that was there before; absent or null: diskport named it. */
  readonly fileName?: string | null
}

/** What a person finds in the folder, and what children call their parent. */
export const layerFileName = ({ uuid, format, fileName }: NamedLayer): string =>
  fileName ?? `${uuid}.${endingOf(format)}`
