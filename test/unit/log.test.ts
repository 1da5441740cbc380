// A log that cannot be written: nothing is thrown, lines are dropped whole and counted.

import { expect, test } from 'vitest'
import { createLogger, createLogSink } from '../../src/log.ts'

/** A file that takes `room` bytes before the disk is full. */
const createFile = (room: number) => {
  const file = {
    room,
    text: '',
    write(bytes: Uint8Array): number {
      if (file.room === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      const length = Math.min(file.room, bytes.length)
      file.room -= length
      file.text += Buffer.from(bytes.subarray(0, length)).toString()
      return length
    },
  }
  return file
}

const linesOf = (text: string): { msg: string; dropped?: number }[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { msg: string; dropped?: number })

test('lines that cannot be written are dropped, counted, and told of once the log can be written', () => {
  const file = createFile(Infinity)
  const sink = createLogSink((bytes) => file.write(bytes))
  const log = createLogger('info', sink)
  log.info('one')
  file.room = 0
  for (let line = 0; line < 5; line += 1) log.info('lost')
  expect(sink.dropped).toBe(5)
  file.room = Infinity
  log.info('two')
  log.info('three')
  expect(linesOf(file.text).map(({ msg }) => msg)).toEqual([
    'one',
    '5 log lines could not be written',
    'two',
    'three',
  ])
  expect(linesOf(file.text)[1]!.dropped).toBe(5)
  file.room = 0
  log.info('lost')
  file.room = Infinity
  log.info('four')
  expect(linesOf(file.text).at(-2)!.msg).toBe('1 log lines could not be written')
  expect(sink.dropped).toBe(6)
})

test('a line that was cut is ended before the next one', () => {
  for (let room = 1; room < 400; room += 7) {
    const file = createFile(room)
    const sink = createLogSink((bytes) => file.write(bytes))
    const log = createLogger('info', sink)
    for (let line = 0; line < 8; line += 1) log.info(`line ${line}`)
    file.room = Infinity
    log.info('last')
    const lines = linesOf(file.text)
    const written = lines.filter(({ msg }) => msg.startsWith('line')).length
    expect(written + sink.dropped).toBe(8)
    expect(lines.slice(-2).map(({ msg }) => msg)).toEqual([
      `${sink.dropped} log lines could not be written`,
      'last',
    ])
  }
})

test('secrets are not written', () => {
  const file = createFile(Infinity)
  createLogger(
    'info',
    createLogSink((bytes) => file.write(bytes)),
  ).info({ password: 'p', a: { session_id: 's' } })
  expect(file.text).not.toMatch(/"p"|"s"/)
})
