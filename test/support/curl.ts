// curl as a process, with what a test asks about: status, headers, the body in a file, and how many
// bytes went each way.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface CurlResult {
  /** Of the last response; 0 where there was none. */
  readonly status: number
  /** Of the last response, names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Path of a file that holds the body: that of `-o`, or one that goes with the test. */
  readonly bodyFile: string
  /** The body as text: for short ones. */
  text(): Promise<string>
  readonly uploaded: number
  readonly downloaded: number
  /**
   * curl's own: 0, or why it gave up (18 a partial file, 22 an error status with -f, 55 and 56 a
   * broken connection).
   */
  readonly exitCode: number
  readonly stderr: string
}

/** Runs curl with `args`; a failure of curl is a result too. */
export const curl = async (...args: string[]): Promise<CurlResult> => {
  const folder = await mkdtemp(join(tmpdir(), 'diskport-curl-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const output = args.indexOf('-o')
  const bodyFile = output === -1 ? join(folder, 'body') : args[output + 1]!
  const headFile = join(folder, 'head')
  const report = '%{http_code} %{size_upload} %{size_download}'
  const all = ['-sS', '-m', '120', '-D', headFile, '-w', report, ...args]
  if (output === -1) all.push('-o', bodyFile)
  const { exitCode, stdout, stderr } = await new Promise<{
    exitCode: number
    stdout: string
    stderr: string
  }>((resolve) =>
    execFile('curl', all, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    ),
  )
  const [status = 0, uploaded = 0, downloaded = 0] = stdout.split(' ').map(Number)
  const headers = parseLastHead(await readFile(headFile, 'utf8').catch(() => ''))
  return {
    status,
    headers,
    bodyFile,
    text: () => readFile(bodyFile, 'utf8').catch(() => ''),
    uploaded,
    downloaded,
    exitCode,
    stderr,
  }
}

/** The last of the heads that curl saved: the one after 100 Continue. */
const parseLastHead = (text: string): ReadonlyMap<string, string> => {
  const heads = text.trimEnd().split('\r\n\r\n')
  const lines = (heads.at(-1) ?? '').split('\r\n').slice(1)
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
}
