// The use case of SR.introduce: the record of a storage repository that lies somewhere already.
// Nothing can be read there before it has a PBD that is plugged.

import type { StringMap } from '../catalog/schema.ts'
import { AppError } from '../errors.ts'
import type { OperationContext } from './context.ts'
import { requireSrType } from './sr/choose-place.ts'
import { reattach } from './sr/open-store.ts'

interface IntroducedSr {
  readonly uuid: string
  readonly nameLabel: string
  readonly nameDescription: string
  readonly type: string
  readonly contentType: string
  readonly shared: boolean
  readonly smConfig: StringMap
}

/** @throws AppError SR_UNKNOWN_DRIVER; SR_UUID_EXISTS */
export const introduceSr = (context: OperationContext, asked: IntroducedSr): Promise<void> =>
  context.oneSrAtATime(async () => {
    const { catalog } = context
    const [defaultFormat] = await requireSrType(context, asked.type)
    if ((await catalog.srs.get(asked.uuid)) !== undefined) {
      throw new AppError('SR_UUID_EXISTS', [asked.uuid])
    }
    await catalog.srs.create({
      ...asked,
      path: '',
      readOnly: false,
      defaultFormat: defaultFormat!,
      deviceConfig: {},
      tags: [],
      hasPbd: false,
      isPlugged: false,
    })
    await reattach(context, asked.uuid)
  })
