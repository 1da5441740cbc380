// A layer as the catalog knows it: the type that all files about layers share.

import type { LayerTable } from '../schema.ts'

export type LayerRow = Readonly<LayerTable>
