// The numbers of VHDX: places, sizes, identifiers and limits, as [MS-VHDX] gives them.
// Little-endian throughout.

import { KiB, MiB } from '../../units.ts'

/** The identifier, two headers and two region tables: always there, at the beginning. */
export const PREFIX_LENGTH = MiB

export const FILE_SIGNATURE = 'vhdxfile'

export const HEADER_OFFSETS = [64 * KiB, 128 * KiB] as const
export const HEADER_LENGTH = 4 * KiB

export const REGION_TABLE_OFFSETS = [192 * KiB, 256 * KiB] as const
export const REGION_TABLE_LENGTH = 64 * KiB
export const MAXIMUM_REGIONS = 2047

/** Regions, the log and blocks begin and end at multiples of it. */
export const ALIGNMENT = MiB

export const METADATA_TABLE_LENGTH = 64 * KiB
export const MAXIMUM_METADATA_ENTRIES = 2047

export const regionIds = {
  blockTable: '2dc27766-f623-4200-9d64-115e9bfd4a08',
  metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
} as const

export const itemIds = {
  fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  virtualDiskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  virtualDiskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  logicalSectorSize: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  physicalSectorSize: 'cda348c7-445d-4471-9cc9-e9885251c556',
  parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const

export const PARENT_LOCATOR_TYPE = 'b04aefb7-d19e-4a81-b789-25b8e9445913'

export const nullGuid = '00000000-0000-0000-0000-000000000000'

export const MINIMUM_BLOCK_SIZE = MiB
export const MAXIMUM_BLOCK_SIZE = 256 * MiB

/** Of blocks that are written: what Hyper-V itself makes. */
export const WRITTEN_BLOCK_SIZE = 32 * MiB

/** One bitmap holds the bits of so many sectors; it is 1 MiB long. */
export const SECTORS_OF_BITMAP = 2 ** 23
export const BITMAP_LENGTH = MiB

/** States of a payload block, the low three bits of its entry. */
export const blockStates = {
  notPresent: 0,
  undefined: 1,
  zero: 2,
  unmapped: 3,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const

/** Updates are logged, and laid out in the log, in sectors of this length. */
export const LOG_SECTOR = 4 * KiB

/** More than any writer makes: Hyper-V and QEMU take 1 MiB. */
export const MAXIMUM_LOG_LENGTH = 16 * MiB

/** Stretches that a log may set to zeros: more than any writer does at once. */
export const MAXIMUM_ZEROED_STRETCHES = 4096
