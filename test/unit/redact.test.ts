// What is taken out of the log.

import { expect, test } from 'vitest'
import { redactLine } from '../../src/redact.ts'

const uuid = '0123abcd-1111-4222-8333-444455556666'

test.each([
  [`There is no VDI with the reference OpaqueRef:${uuid}`, 'reference OpaqueRef:0123abcd-…'],
  [`/x?vdi=OpaqueRef%3A${uuid.toUpperCase()}&a=b`, 'vdi=OpaqueRef%3A0123ABCD-…&a=b'],
  [`/x?session_id=OpaqueRef:${uuid}&vdi=1`, 'session_id=[redacted]&vdi=1'],
  ['cookie: session_id=something; task_id=1', 'session_id=[redacted]; task_id=1'],
  ['{"session_id": "short","a":1}', '{"session_id": "[redacted]","a":1}'],
  [String.raw`{"msg":"{\"sessionId\":\"short\"}"}`, String.raw`sessionId\":\"[redacted]\"}`],
])('%s', (line, expected) => {
  expect(redactLine(line)).toContain(expected)
  expect(redactLine(line).toLowerCase()).not.toContain('-1111-')
})

test.each([`{"object":"${uuid}","vdi":"${uuid}"}`, 'OpaqueRef:NULL', 'a session id of the server'])(
  'what names an object, or nothing, stays: %s',
  (line) => {
    expect(redactLine(line)).toBe(line)
  },
)

test('a long line costs one pass', () => {
  const line = `${'session_id='.repeat(50_000)}${'OpaqueRef:0'.repeat(50_000)}`
  expect(redactLine(line)).toBe(`session_id=[redacted]`)
})
