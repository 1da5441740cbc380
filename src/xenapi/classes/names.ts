// Names and notes as clients may choose them, for all classes.

import { stringUpTo } from '../values.ts'

export const nameLabelType = stringUpTo(1024)
export const nameDescriptionType = stringUpTo(16_384)
