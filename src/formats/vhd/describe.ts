// What a VHD at rest says of itself and of its parent.

import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import type { ImageDescription } from '../format.ts'
import { diskTypes, HEADER_SIZE } from './constants.ts'
import { virtualSizeOf } from './footer.ts'
import type { Header } from './header.ts'
import { parseHeader } from './header.ts'
import { requireInside } from './metadata.ts'
import { findFooter } from './open.ts'
import type { ParentLocator } from './parent-locator.ts'
import { checkLocators } from './parent-locator.ts'

const what = 'Cannot read the header of a vhd'

/** The parent's uuid where it has none, as on a raw one. */
const noUuid = '00000000-0000-0000-0000-000000000000'

/** In how many bytes a locator's path is looked for: PATH_MAX in UTF-16. */
const maximumPathLength = 8192

/** The platforms whose paths are understood; XenServer writes all three. */
const encodings: Readonly<Record<string, 'utf8' | 'utf16le'>> = {
  MacX: 'utf8',
  W2ru: 'utf16le',
  W2ku: 'utf16le',
}

export const describeVhd = async (image: Image): Promise<ImageDescription> => {
  const { footer, end } = await findFooter(image, what)
  const own = { imageUuid: footer.uuid, isHidden: footer.hidden !== 0 }
  if (footer.diskType !== diskTypes.differencing) return own
  const bytes = new Uint8Array(HEADER_SIZE)
  await image.read(requireInside('header', footer.dataOffset, HEADER_SIZE, end, what), bytes)
  const header = parseHeader(bytes, virtualSizeOf(footer, what), what)
  checkLocators(header.locators, end, what)
  const names = [...(await locatedNames(image, header.locators)), parentName(header)]
  const parent = { names: names.filter((name) => name !== '') }
  return header.parentUuid === noUuid
    ? { ...own, parent }
    : { ...own, parent: { ...parent, uuid: header.parentUuid } }
}

const locatedNames = async (
  image: Image,
  locators: readonly ParentLocator[],
): Promise<string[]> => {
  const names: string[] = []
  for (const { platform, offset, length } of locators) {
    const encoding = encodings[platform]
    if (encoding === undefined || length === 0 || length > maximumPathLength) continue
    const path = Buffer.alloc(length)
    await image.read(offset, path)
    names.push(untilZero(path.toString(encoding)))
  }
  return names
}

const parentName = ({ parentName }: Header): string => {
  const view = viewOf(parentName)
  const units = Array.from({ length: parentName.length / 2 }, (_, index) =>
    view.getUint16(index * 2),
  )
  return untilZero(String.fromCharCode(...units))
}

const untilZero = (text: string): string => text.split('\0', 1)[0]!
