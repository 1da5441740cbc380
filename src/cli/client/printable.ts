// What a server says, made fit for a terminal: nothing that it sends moves the cursor, sets a title
// or hides text.

/** Unicode's control characters and those that turn the direction of writing. */
const dangerous = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** With control characters as `\x1b` or `\u202e`; lines and tabs stay. */
export const printable = (text: string): string =>
  text.replaceAll(dangerous, (found) => {
    if (found === '\n' || found === '\t') return found
    const code = found.charCodeAt(0)
    return code <= 0xff
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })

/**
 * The same for the standard error, where a progress bar begins by going back to the start of its
 * line.
 */
export const printableWithBar = (text: string): string =>
  text.startsWith('\r') ? `\r${printable(text.slice(1))}` : printable(text)
