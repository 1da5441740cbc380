// What lies in the data folder of a server, seen from outside.

import { open, readdir } from 'node:fs/promises'
import { qemuImg } from './tools.ts'

/** Paths below `dataFolder` of all sealed layers. */
export const listLayers = async (dataFolder: string): Promise<string[]> =>
  (await readdir(dataFolder, { recursive: true }))
    .filter((path) => /^sr\/[^/]+\/[^/]+\.(qcow2|vhd|raw)$/.test(path))
    .toSorted()

/** Paths below `dataFolder` of what imports have under way, or have left. */
export const listStaging = async (dataFolder: string): Promise<string[]> =>
  (await readdir(dataFolder, { recursive: true })).filter((path) => /\/staging\/./.test(path))

/** Of a chain of QCOW2 layers: the one that is nobody's backing file. */
export const topLayer = async (paths: readonly string[]): Promise<string> => {
  const parents = new Set<string>()
  for (const path of paths) {
    const { stdout } = await qemuImg('info', '--output=json', path)
    const info = JSON.parse(stdout) as { 'full-backing-filename'?: string }
    if (info['full-backing-filename'] !== undefined) parents.add(info['full-backing-filename'])
  }
  const [top, ...others] = paths.filter((path) => !parents.has(path))
  if (top === undefined || others.length > 0) throw new Error(`No one chain: ${paths.join(', ')}`)
  return top
}

/** Copies one stretch of a raw file into the same place of another. */
export const mergePart = async (
  target: string,
  source: string,
  offset: number,
  length: number,
): Promise<void> => {
  await using from = await open(source, 'r')
  await using into = await open(target, 'r+')
  const bytes = Buffer.alloc(length)
  await from.read(bytes, 0, length, offset)
  await into.write(bytes, 0, length, offset)
}
