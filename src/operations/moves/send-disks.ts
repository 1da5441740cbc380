// Sends the disks of a VM to another server, several at once, each whole or as what differs from
// one that was sent before. What was cut is sent again.

import { randomUUID } from 'node:crypto'
import pLimit from 'p-limit'
import type { SentVdi } from '../../catalog/moves/move-tables.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { formatTable } from '../../format-table.ts'
import { createPacedPool } from '../../image/buffer-pool.ts'
import type { Image } from '../../image/image.ts'
import { RemoteCutError, RemoteError } from '../../remote/remote-errors.ts'
import { retried } from '../../remote/retry.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import type { Work } from '../../transfer/copy-disk.ts'
import { readAhead } from '../../transfer/read-ahead.ts'
import type { TaskHandle } from '../../transfer/with-task.ts'
import type { OperationContext } from '../context.ts'
import type { ExportRequest } from '../vdi/open-export.ts'
import { openPlan } from '../vdi/open-export.ts'
import type { Destination } from './destination.ts'
import type { Step } from './plan-disks.ts'
import { planDisks } from './plan-disks.ts'
import type { IncomingVdi, Place } from './wire.ts'

/** Disks that are sent at once. */
const disksAtOnce = 3

/** How often a disk or a call is tried: over about two minutes. */
const tries = 10

export interface Sending {
  readonly context: OperationContext
  readonly destination: Destination
  readonly task: TaskHandle
  readonly signal: AbortSignal
}

/** A disk and where it goes. */
interface Sent {
  readonly vdi: VdiRow
  readonly place: Place
  /** Of the VDI at the destination. */
  readonly newUuid: string
}

/**
 * @param vdis with their places; the caller sees to it that they stay what they are
 * @returns the VDIs at the destination, by the uuids of those here
 * @throws AppError what the destination answers, VDI_IO_ERROR; RemoteCutError; the reason of the
 *   signal
 */
export const sendDisks = async (
  sending: Sending,
  vdis: readonly (readonly [VdiRow, Place])[],
): Promise<ReadonlyMap<string, SentVdi>> => {
  const sent = new Map(
    vdis.map(([vdi, place]) => [vdi.uuid, { vdi, place, newUuid: randomUUID() }] as const),
  )
  const steps = await planSteps(sending.context, [...sent.values()])
  const sizes = await sizesOf(sending, steps)
  const progress = progressOf(sending.task, sizes)
  // The first that fails ends the others, which are waited for.
  const stop = new AbortController()
  const signal = AbortSignal.any([sending.signal, stop.signal])
  const limit = pLimit(disksAtOnce)
  const done = new Map<string, Promise<void>>()
  const there = new Map<string, SentVdi>()
  for (const step of steps) {
    const base = step.base === null ? undefined : done.get(step.base)
    const run = async (): Promise<void> => {
      await base
      const sendStep = () => sendOne({ ...sending, signal }, step, sent, progress(step.uuid))
      there.set(step.uuid, await limit(sendStep))
    }
    const running = run()
    running.catch((error: unknown) => stop.abort(error))
    done.set(step.uuid, running)
  }
  await Promise.allSettled(done.values())
  sending.signal.throwIfAborted()
  if (stop.signal.aborted) throw stop.signal.reason
  return there
}

/** A call that may be repeated, until the destination has answered. */
export const persistently = <T>(
  { context: { log }, destination, signal }: Omit<Sending, 'task'>,
  call: () => Promise<T>,
): Promise<T> =>
  retried(call, {
    tries,
    signal,
    isRetriable,
    onRetry: (error) => log.warn({ error, destination: destination.host }, 'asking again'),
  })

/** The connection, or a state of the destination that passes. */
const isRetriable = (error: unknown): boolean =>
  error instanceof RemoteCutError || (error instanceof RemoteError && passing.has(error.code))

const passing: ReadonlySet<string> = new Set([
  'TOO_BUSY',
  'HOST_IS_SHUTTING_DOWN',
  // It may not have noticed yet that the last upload was cut.
  'OTHER_OPERATION_IN_PROGRESS',
])

const planSteps = async (
  { catalog }: OperationContext,
  disks: readonly Sent[],
): Promise<Step[]> => {
  const planned = []
  for (const { vdi, place } of disks) {
    const { uuid, layerUuid, contentUuid, virtualSize, snapshotTime, isSnapshot } = vdi
    const chain = layerUuid === null ? [] : await catalog.layers.chain(layerUuid)
    planned.push({
      uuid,
      layers: chain.map((layer) => layer.uuid),
      contentUuid,
      virtualSize,
      place: `${place.srUuid} ${place.format}`,
      time: isSnapshot ? (snapshotTime?.getTime() ?? 0) : Infinity,
    })
  }
  return planDisks(planned)
}

const requestOf = ({ uuid, base }: Step): ExportRequest => ({
  vdiUuid: uuid,
  formatName: 'qcow2',
  ...(base === null ? {} : { baseUuid: base }),
  narrow: 'never',
  options: {},
})

/** How many bytes each disk takes on the way; nothing is read of it yet. */
const sizesOf = async (
  { context, task: { user }, signal }: Sending,
  steps: readonly Step[],
): Promise<ReadonlyMap<string, number>> => {
  const sizes = new Map<string, number>()
  for (const step of steps.filter(({ isSent }) => isSent)) {
    signal.throwIfAborted()
    const { image } = await openPlan(context, requestOf(step), { user, signal })
    sizes.set(step.uuid, image.size)
    await image.close()
  }
  return sizes
}

/** Of one disk: how much of it has left, in bytes. */
type Report = (bytes: number) => void

const progressOf = (
  task: TaskHandle,
  sizes: ReadonlyMap<string, number>,
): ((uuid: string) => Report) => {
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const left = new Map<string, number>()
  let sum = 0
  return (uuid) => (bytes) => {
    sum += bytes - (left.get(uuid) ?? 0)
    left.set(uuid, bytes)
    // A plan that was made again may be a little larger.
    if (total > 0) task.report(Math.min(1, sum / total))
  }
}

/** @returns the VDI as it is at the destination then */
const sendOne = async (
  sending: Sending,
  step: Step,
  sent: ReadonlyMap<string, Sent>,
  report: Report,
): Promise<SentVdi> => {
  const { context, destination, signal } = sending
  const { vdi, place, newUuid } = sent.get(step.uuid)!
  const cloneOf = step.base === null ? null : sent.get(step.base)!.newUuid
  const row = incomingVdiOf(vdi, { ...place, uuid: newUuid, cloneOf })
  await persistently(sending, () => destination.createVdi(row, signal))
  const contentThere = () => persistently(sending, () => destination.contentOf(newUuid, signal))
  const before = await contentThere()
  if (!step.isSent) return { uuid: newUuid, content: before }
  await retried(
    async (attempt) => {
      // The answer may have been cut, and not the upload.
      if (attempt > 1 && (await destination.contentOf(newUuid, signal)) !== before) return
      report(0)
      await upload(sending, step, newUuid, report)
    },
    {
      tries,
      signal,
      isRetriable,
      onRetry: (error) =>
        context.log.warn({ error, vdi: vdi.uuid, destination: destination.host }, 'sending again'),
    },
  )
  return { uuid: newUuid, content: await contentThere() }
}

const upload = (
  { context, destination, task: { user }, signal: given }: Sending,
  step: Step,
  newUuid: string,
  report: Report,
): Promise<void> =>
  context.transfers.run({ user }, async (transfer) => {
    const signal = AbortSignal.any([given, transfer.signal])
    const { image, opened } = await openPlan(context, requestOf(step), { user, signal })
    try {
      await transfer.open()
      let left = 0
      await destination.upload(newUuid, {
        mediaType: formatTable.qcow2.mediaType,
        length: image.size,
        pieces: () => piecesOf(image, opened, { turn: transfer.turn, signal }),
        signal,
        onProgress(bytes) {
          left += bytes
          report(left)
        },
      })
    } finally {
      await image.close()
    }
  })

/** The last piece comes only once all that was read is known to be good. */
async function* piecesOf(image: Image, { verify }: OpenedContent, { turn, signal }: Work) {
  const pool = createPacedPool(() => turn.pausedTime)
  const range = { offset: 0, length: image.size }
  let unread = image.size
  try {
    for await (const piece of readAhead(image, range, { pool, turn, signal })) {
      unread -= piece.bytes.length
      if (unread === 0) await verify()
      yield piece
    }
  } finally {
    pool.close()
  }
}

const incomingVdiOf = (
  vdi: VdiRow,
  there: Place & Pick<IncomingVdi, 'uuid' | 'cloneOf'>,
): IncomingVdi => ({
  ...there,
  virtualSize: vdi.virtualSize,
  nameLabel: vdi.nameLabel,
  nameDescription: vdi.nameDescription,
  type: vdi.type,
  sharable: vdi.sharable,
  otherConfig: vdi.otherConfig,
  xenstoreData: vdi.xenstoreData,
  smConfig: vdi.smConfig,
  tags: [...vdi.tags],
  onBoot: vdi.onBoot,
  allowCaching: vdi.allowCaching,
})
