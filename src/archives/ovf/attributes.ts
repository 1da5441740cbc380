// Attributes of OVF's elements: those of OVF itself, whatever its version, not those that products
// add in namespaces of their own.

import type { XmlElement } from '../xml.ts'

const envelope =
  /^(?:|http:\/\/schemas\.dmtf\.org\/ovf\/envelope\/\d|http:\/\/www\.vmware\.com\/schema\/ovf\/1\/envelope)$/

export const attributeOf = ({ attributes }: XmlElement, name: string): string | undefined =>
  attributes.find((found) => found.name === name && envelope.test(found.uri))?.value
