// The worker that decompresses xz. Run by decompress-in-worker.ts.

import xz from 'xz-decompress'
import { putOutput, runWorker, takeInput, InputEndedError } from './worker-messages.ts'

/** The codes of xz-embedded, which the library passes on. */
const causes: Readonly<Record<string, string>> = {
  4: 'it needs a dictionary of more than 64 MiB',
  5: 'it is not xz',
  6: 'it has a filter or a check that is not known here (xz -dc FILE | curl -T - decompresses it first)',
  7: 'its data is broken, or does not match its checksum',
}

const endedCode = '8'

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? /error code (\d+)/.exec(error.message)?.[1] : undefined

void runWorker(
  async () => {
    const input = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = takeInput()
        if (chunk === undefined) controller.close()
        else controller.enqueue(chunk)
      },
    })
    try {
      for await (const chunk of new xz.XzReadableStream(input)) putOutput(new Uint8Array(chunk))
    } catch (error) {
      throw codeOf(error) === endedCode ? new InputEndedError() : error
    }
  },
  (error) => causes[codeOf(error) ?? ''] ?? String(error),
)
