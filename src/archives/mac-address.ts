// MAC addresses as descriptions of machines write them.

/** In lower case; undefined for what is none. */
export const readMac = (text: string | undefined): string | undefined =>
  /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text ?? '') ? text!.toLowerCase() : undefined
