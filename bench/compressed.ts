// Imports of images whose data is compressed, as image sites publish them: beside qemu-img, which
// decompresses them too.

import { createCipheriv } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Format } from './client.ts'
import { timed } from './processes.ts'
import type { Row } from './table.ts'
import type { Bench } from './transfers.ts'
import { measureImport } from './transfers.ts'

const KiB = 1024
const MiB = 1024 * KiB

interface Kind {
  readonly name: string
  readonly format: Format
  /** Of `qemu-img convert`. */
  readonly options: readonly string[]
}

const kinds: readonly Kind[] = [
  { name: 'zlib', format: 'qcow2', options: ['-c'] },
  { name: 'zstd', format: 'qcow2', options: ['-c', '-o', 'compression_type=zstd'] },
  { name: 'streamOptimized', format: 'vmdk', options: ['-o', 'subformat=streamOptimized'] },
]

export const compressedRowNames = kinds.map(({ name }) => `import compressed ${name}`)

/** A row for each kind, of a disk of `size` bytes that is full. */
export const measureCompressed = async (bench: Bench, size: number): Promise<Row[]> => {
  const wanted = kinds.filter(({ name }) => bench.isWanted(`import compressed ${name}`))
  if (wanted.length === 0) return []
  const raw = join(bench.folder, 'compressed.raw')
  await writeCompressible(raw, size)
  const rows: Row[] = []
  for (const { name, format, options } of wanted) {
    const file = `compressed-${name}`
    const target = join(bench.folder, file)
    await timed('qemu-img', ['convert', '-f', 'raw', '-O', format, ...options, raw, target])
    rows.push(await measureImport(bench, `compressed ${name}`, { file, format }))
    await rm(target)
  }
  await rm(raw)
  return rows
}

/** Noise in hexadecimal digits, which packing makes half as long; the same at each run. */
const writeCompressible = async (path: string, size: number): Promise<void> => {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 3), Buffer.alloc(16, 4))
  const zeros = Buffer.alloc(2 * MiB)
  const file = await open(path, 'w')
  for (let written = 0; written < size; written += 2 * zeros.length) {
    await file.write(Buffer.from(cipher.update(zeros).toString('hex'), 'latin1'))
  }
  await file.close()
}
