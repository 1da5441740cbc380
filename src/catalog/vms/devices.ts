// The positions of disks and interfaces in a VM: numbers, as texts.

/** How many positions XenServer has for the disks of a VM. */
export const diskPositions = 255

/** And for its interfaces. */
export const interfacePositions = 16

/** Those that are free, lowest first. */
export const freeDevices = (used: readonly string[], count = diskPositions): string[] =>
  Array.from({ length: count }, (_, position) => String(position)).filter(
    (device) => !used.includes(device),
  )

export const freeInterfaces = (used: readonly string[]): string[] =>
  freeDevices(used, interfacePositions)

/** Whether a client may ask for it by number. */
export const isDevice = (device: string, count = diskPositions): boolean =>
  /^(0|[1-9]\d{0,2})$/.test(device) && Number(device) < count

export const isInterface = (device: string): boolean => isDevice(device, interfacePositions)

export const byDevice =
  <Row>(deviceOf: (row: Row) => string) =>
  (a: Row, b: Row): number =>
    Number(deviceOf(a)) - Number(deviceOf(b))
