// How OVF counts bytes. DSP0004, "Programmatic Units": `byte * 2^20`; before it, words.

const words: Readonly<Record<string, number>> = {
  byte: 1,
  bytes: 1,
  kilobytes: 2 ** 10,
  megabytes: 2 ** 20,
  gigabytes: 2 ** 30,
  terabytes: 2 ** 40,
  kb: 2 ** 10,
  mb: 2 ** 20,
  gb: 2 ** 30,
  tb: 2 ** 40,
}

/** In bytes; undefined for a text that is no unit. */
export const allocationUnits = (text: string): number | undefined => {
  const unit = text.trim().toLowerCase()
  if (Object.hasOwn(words, unit)) return words[unit]
  // `byte * 2^20`, and `MegaBytes * 1`, as some write.
  const [base = '', ...factors] = unit.split('*').map((part) => part.trim())
  let bytes = Object.hasOwn(words, base) ? words[base]! : NaN
  for (const factor of factors) {
    const [, number = '', , exponent = '1'] = /^(\d{1,4})(\^(\d{1,2}))?$/.exec(factor) ?? []
    bytes *= number === '' ? NaN : Number(number) ** Number(exponent)
  }
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
