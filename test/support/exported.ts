// The image of an export that is planned, for tests that read it at any offset.

import type { Image } from '../../src/image/image.ts'
import type { ReadyExport } from '../../src/operations/vdi/ready-export.ts'

export const plannedImage = ({ body }: Pick<ReadyExport, 'body'>): Image => {
  if (body.kind === 'planned') return body.image
  throw new Error('The image has no length')
}
