// Names and notes as clients may choose them, for all classes.

import { objectBounds } from '../../catalog/bounds.ts'
import { stringUpTo } from '../wire/values.ts'

export const nameLabelType = stringUpTo(objectBounds.nameLabel.characters)
export const nameDescriptionType = stringUpTo(objectBounds.nameDescription.characters)
