// The Markdown files of the project as the tests read them.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './source-files.ts'

/** Paths from the root of the project. */
export const markdownFiles = (): string[] =>
  ['.', 'docs', 'bench', 'fixtures'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  )

export const readMarkdown = (file: string): string => readFileSync(join(root, file), 'utf8')

export interface CodeBlock {
  /** What stands behind the fence: `sh`, `console`; empty where nothing does. */
  readonly language: string
  readonly text: string
}

export const codeBlocksOf = (file: string): CodeBlock[] =>
  Array.from(
    readMarkdown(file).matchAll(/^```(\w*)\n(.*?)^```$/gms),
    ([, language = '', text = '']) => ({ language, text }),
  )

/** The first cells of the table rows in a section. @param heading with its marks: `## Options` */
export const firstCellsUnder = (file: string, heading: string): string[] => {
  const [, section = ''] = readMarkdown(file).split(`\n${heading}\n`)
  const rows = section.split('\n#')[0]!.matchAll(/^\| (.*?) +\|/gm)
  return Array.from(rows, ([, cell = '']) => cell).filter((cell) => cell.startsWith('`'))
}
