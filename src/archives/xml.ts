// Reads a small XML document whole, as elements: the descriptions of machines. saxes reads it,
// strictly; this file bounds what it makes of it. No document types, and no entities but the five
// of XML and character numbers.

import { SaxesParser } from 'saxes'
import { imageError } from '../errors.ts'
import { formatBytes, MiB } from '../units.ts'

export interface XmlElement {
  /** Without its prefix. */
  readonly name: string
  readonly attributes: readonly XmlAttribute[]
  readonly children: readonly XmlElement[]
  /** All that stands in it but in its children. */
  readonly text: string
}

interface XmlAttribute {
  /** Without its prefix. */
  readonly name: string
  /** Of the namespace; empty for none. */
  readonly uri: string
  readonly value: string
}

const MAXIMUM_DEPTH = 64
const MAXIMUM_ELEMENTS = 500_000
const MAXIMUM_ATTRIBUTES = 64

/** Of a description, in bytes: that of a VM with hundreds of snapshots has fewer. */
const MAXIMUM_XML_SIZE = 16 * MiB

interface Growing {
  readonly name: string
  readonly attributes: readonly XmlAttribute[]
  readonly children: XmlElement[]
  text: string
}

/**
 * @param chunks of the document, cut anywhere
 * @param what as messages begin
 * @throws AppError IMPORT_ERROR_GENERIC for what is not well-formed, in UTF-8, or too large; what
 *   `chunks` throw
 */
export const readXml = async (
  chunks: AsyncIterable<Uint8Array>,
  what: string,
): Promise<XmlElement> => {
  const refuse = (found: string): Error =>
    imageError(what, `it is no XML that can be read: ${found}`)
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const tree = createTreeParser(refuse)
  let size = 0
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined })
    } catch {
      throw refuse('it is not in UTF-8')
    }
  }
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > MAXIMUM_XML_SIZE) {
      throw refuse(`it has more than ${formatBytes(MAXIMUM_XML_SIZE)}`)
    }
    tree.parser.write(decode(chunk))
  }
  tree.parser.write(decode()).close()
  return tree.root()
}

const createTreeParser = (refuse: (found: string) => Error) => {
  const parser = new SaxesParser({ xmlns: true, position: false })
  const open: Growing[] = []
  let root: XmlElement | undefined
  let elements = 0
  const addText = (text: string): void => {
    const element = open.at(-1)
    if (element !== undefined) element.text += text
  }
  parser.on('error', ({ message }) => {
    throw refuse(`${message.slice(0, 100)} at character ${parser.position}`)
  })
  parser.on('doctype', () => {
    throw refuse('it has a document type, which is not allowed')
  })
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('opentagstart', () => {
    elements += 1
    if (elements > MAXIMUM_ELEMENTS) throw refuse(`it has more than ${MAXIMUM_ELEMENTS} elements`)
    if (open.length >= MAXIMUM_DEPTH) {
      throw refuse(`its elements are nested deeper than ${MAXIMUM_DEPTH}`)
    }
  })
  let attributes = 0
  parser.on('attribute', () => {
    attributes += 1
    if (attributes > MAXIMUM_ATTRIBUTES) {
      throw refuse(`an element has more than ${MAXIMUM_ATTRIBUTES} attributes`)
    }
  })
  parser.on('opentag', (tag) => {
    attributes = 0
    const element: Growing = {
      name: tag.local,
      attributes: Object.values(tag.attributes).map(({ local, uri, value }) => ({
        name: local,
        uri,
        value,
      })),
      children: [],
      text: '',
    }
    open.at(-1)?.children.push(element)
    root ??= element
    open.push(element)
  })
  parser.on('closetag', () => void open.pop())
  return {
    parser,
    root(): XmlElement {
      if (root === undefined) throw refuse('it has no element')
      return root
    },
  }
}

/** The first child of that name. */
export const childOf = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((child) => child.name === name)

export const childrenOf = (element: XmlElement | undefined, name: string): readonly XmlElement[] =>
  element?.children.filter((child) => child.name === name) ?? []

/** The trimmed text of the first child of that name; undefined where it is absent or empty. */
export const textOf = (element: XmlElement | undefined, name: string): string | undefined => {
  const text = childOf(element, name)?.text.trim()
  return text === '' ? undefined : text
}
