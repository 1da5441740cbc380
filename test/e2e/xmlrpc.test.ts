// Python's own XML-RPC client against the real server.

import { describe, expect, test } from 'vitest'
import { runPython } from '../support/python.ts'
import { shareServer } from '../support/server.ts'
import { hasTool } from '../support/tools.ts'

const server = await shareServer()

const createDisk = `
sr = ask('SR.get_all', session)[0]
vdi = ask('VDI.create', session, {
    'name_label': 'Größe & <b> 💾', 'name_description': 'two\\nlines', 'SR': sr,
    'virtual_size': str(10 << 20), 'type': 'user', 'sharable': False, 'read_only': False,
    'other_config': {'owner': 'python', '<&>': ']]>'}, 'sm_config': {}})
`

describe.skipIf(!hasTool('python3'))('xmlrpc.client', () => {
  test.each(['/', '/RPC2', '/xmlrpc'])('logs in and out on %s', async (path) => {
    const out = await runPython<Record<string, unknown>>(
      server,
      `
out['methods'] = server.system.listMethods()
out['logout'] = ask('session.logout', session)
out['after'] = refused('VDI.get_all', session)
`,
      path,
    )
    expect(out['methods']).toContain('VDI.create')
    expect(out['logout']).toBe('')
    expect(out['after']).toEqual(['SESSION_INVALID'])
  })

  test('makes a VDI and reads its record', async () => {
    const out = await runPython<{ vdi: string; record: Record<string, unknown>; all: object }>(
      server,
      `${createDisk}
out['vdi'] = vdi
out['record'] = ask('VDI.get_record', session, vdi)
out['all'] = ask('VDI.get_all_records', session)
out['date'] = isinstance(out['record']['snapshot_time'], xmlrpc.client.DateTime)
`,
    )
    expect(out.record).toMatchObject({
      name_label: 'Größe & <b> 💾',
      name_description: 'two\nlines',
      virtual_size: String(10 << 20),
      sharable: false,
      tags: [],
      other_config: { owner: 'python', '<&>': ']]>' },
      snapshot_time: '19700101T00:00:00Z',
      snapshot_of: 'OpaqueRef:NULL',
    })
    expect(out).toMatchObject({ all: { [out.vdi]: out.record }, date: true })
  })

  test('sends integers as numbers too', async () => {
    const out = await runPython(
      server,
      `
sr = ask('SR.get_all', session)[0]
vdi = ask('VDI.create', session, {'SR': sr, 'virtual_size': 1 << 20})
out['size'] = ask('VDI.get_virtual_size', session, vdi)
out['gone'] = ask('VDI.destroy', session, vdi)
out['after'] = refused('VDI.get_record', session, vdi)[:2]
`,
    )
    expect(out).toEqual({ size: String(1 << 20), gone: '', after: ['HANDLE_INVALID', 'VDI'] })
  })

  test('runs a task of its own, and one of Async', async () => {
    const out = await runPython<Record<string, Record<string, unknown>>>(
      server,
      `
task = ask('task.create', session, 'mine', '')
ask('task.set_progress', session, task, 0.25)
out['running'] = ask('task.get_record', session, task)
ask('task.set_status', session, task, 'success')
out['ended'] = ask('task.get_record', session, task)
ask('task.destroy', session, task)
import time
started = ask('Async.task.create', session, 'other', '')
while ask('task.get_status', session, started) == 'pending': time.sleep(0.01)
out['async'] = ask('task.get_record', session, started)
`,
    )
    expect(out['running']).toMatchObject({ status: 'pending', progress: 0.25, result: '' })
    expect(out['ended']).toMatchObject({ status: 'success', progress: 1 })
    expect(out['async']).toMatchObject({
      status: 'success',
      result: expect.stringMatching(/^<value>OpaqueRef:[-0-9a-f]{36}<\/value>$/) as string,
    })
  })

  test('is told why a call failed', async () => {
    const out = await runPython(
      server,
      `
out['method'] = refused('VDI.fly', session)
out['handle'] = refused('VDI.get_record', session, 'OpaqueRef:nothing')
out['count'] = refused('VDI.get_record', session)
out['type'] = refused('VDI.create', session, 'x')
out['login'] = refused('session.login_with_password', 'root', 'wrong')
out['session'] = refused('VDI.get_all', 'OpaqueRef:nobody')
try: server.VDI.create(session, xmlrpc.client.Binary(b'x'))
except xmlrpc.client.Fault as fault: out['fault'] = [fault.faultCode, fault.faultString]
`,
    )
    expect(out).toEqual({
      method: ['MESSAGE_METHOD_UNKNOWN', 'VDI.fly'],
      handle: ['HANDLE_INVALID', 'VDI', 'OpaqueRef:nothing'],
      count: ['MESSAGE_PARAMETER_COUNT_MISMATCH', 'VDI.get_record', '1', '0'],
      type: ['FIELD_TYPE_ERROR', 'args'],
      login: ['SESSION_AUTHENTICATION_FAILED'],
      session: ['SESSION_INVALID'],
      fault: [-32600, 'Cannot read the call: <base64> is no type of XenAPI'],
    })
  })
})
