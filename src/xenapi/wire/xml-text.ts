// The characters of XML 1.0: which texts it can carry, and how.

/** Whether XML can carry it: one name that it cannot would break every answer that lists it. */
export const isXmlText = (text: string): boolean => {
  for (let index = 0; index < text.length; index += 1) {
    if (!isXmlUnit(text.charCodeAt(index))) return false
  }
  return text.isWellFormed()
}

/**
 * As the content of an element. What XML cannot carry shows as U+FFFD: a message may quote
 * anything.
 */
export const escapeXml = (text: string): string => {
  const carried = isXmlText(text) ? text : replaceUnfit(text)
  return carried.replaceAll(/[&<>\r]/g, (character) => entities[character]!)
}

/** Of a UTF-16 unit; surrogates are for isWellFormed. */
const isXmlUnit = (unit: number): boolean =>
  (unit >= 0x20 && unit < 0xfffe) || unit === 0x09 || unit === 0x0a || unit === 0x0d

const replaceUnfit = (text: string): string =>
  Array.from(text.toWellFormed(), (character) =>
    isXmlUnit(character.charCodeAt(0)) ? character : '\ufffd',
  ).join('')

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  // Parsers read a bare carriage return as a newline.
  '\r': '&#13;',
}
