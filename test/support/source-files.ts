// The source files as the tests of the architecture read them.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')

/** The TypeScript files below these folders, as paths from the root of the project. */
export const sourceFiles = (...folders: readonly string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )

export const readSource = (file: string): string => readFileSync(join(root, file), 'utf8')

export interface FoundImport {
  /** As a path from the root of the project. */
  readonly target: string
  /** As they are called where they are exported; `*` for all. */
  readonly names: readonly string[]
}

/** What a file imports from other files of the project. */
export const importsBetween = (file: string): FoundImport[] => {
  const statements = readSource(file).matchAll(
    /^(?:import|export) (?:type )?(?:\{([^}]*)\}|\* as \w+) from '(\.[^']+)'/gms,
  )
  return Array.from(statements, ([, names, specifier]) => ({
    target: relative(root, resolve(root, dirname(file), specifier!)),
    names: (names ?? '*')
      .split(',')
      .map(
        (name) =>
          name
            .trim()
            .replace(/^type /, '')
            .split(' as ')[0]!,
      )
      .filter((name) => name !== ''),
  }))
}
