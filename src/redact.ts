// Takes out of a line of the log what looks like the reference of a session, wherever it stands: in
// a message, in a path, in the parameters of an error. log.ts has every line pass through it.

/**
 * The references of sessions and of objects look alike: eight digits of 32 are left of each, enough
 * to tell which object a line is about, and far too little to guess a session by.
 */
const references = /(OpaqueRef(?::|%3A)[0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi

/** In queries, cookies and JSON, whatever the value looks like. */
const named = /(session_?id(?:=|%3D|\\?": ?\\?"))[^&;,\s"'\\)\]}]+/gi

export const redactLine = (line: string): string =>
  line.replaceAll(named, '$1[redacted]').replaceAll(references, '$1-…')

/** The same for a uuid that turned out to be what is left of a session's reference. */
export const shortenUuid = (uuid: string): string => `${uuid.slice(0, 8)}-…`
