// The links between the Markdown files: each leads to a file that is there, and to a heading in it.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { markdownFiles, readMarkdown } from './support/markdown.ts'
import { root } from './support/source-files.ts'

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')

const anchorsIn = (file: string): string[] =>
  Array.from(readMarkdown(file).matchAll(/^#+ (.*)$/gm), ([, heading]) => anchorOf(heading!))

test('links lead to files and headings that are there', () => {
  const links = markdownFiles().flatMap((file) =>
    Array.from(readMarkdown(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)).map(
      ([link, path = '', anchor]) => ({
        link: `${file}: ${link}`,
        target: path === '' ? file : join(dirname(file), path),
        anchor,
      }),
    ),
  )
  expect(links.length).toBeGreaterThan(50)
  const broken = links
    .filter(
      ({ target, anchor }) =>
        !existsSync(join(root, target)) ||
        (anchor !== undefined && !anchorsIn(target).includes(anchor)),
    )
    .map(({ link }) => link)
  expect(broken).toEqual([])
})
