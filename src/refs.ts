// References, the names of objects in XenAPI: `OpaqueRef:` and the object's uuid, or, for a
// session, a secret.

export const NULL_REF = 'OpaqueRef:NULL'

const PREFIX = 'OpaqueRef:'

/** Any 128 bits as XenAPI writes a uuid; versions and variants do not matter. */
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export const toRef = (uuid: string): string => `${PREFIX}${uuid}`

/**
 * The uuid in a reference or a bare uuid, in lower case; undefined for the null reference and for
 * anything else.
 */
export const refToUuid = (text: string): string | undefined => {
  const uuid = (text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text).toLowerCase()
  return uuidPattern.test(uuid) ? uuid : undefined
}
