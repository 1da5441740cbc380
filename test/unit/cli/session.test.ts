// Sessions of xe on a real socket, with a XenAPI of a few functions: who may, what is shown, how
// each one ends.

import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { createFakeTask, openCli, startCliServer } from '../../support/cli-client.ts'
import { connectRaw } from '../../support/raw-client.ts'
import { eventually, within } from '../../support/wait.ts'

const root = ['username=root', 'password=pw'] as const
const usage = "For usage run: 'xe help'\n"

const sm = {
  uuid: '5d1a0000-0000-4000-8000-000000000001',
  name_label: 'Local, files',
  name_description: '',
  type: 'file',
  vendor: 'diskport',
  copyright: '',
  required_api_version: '1.0',
  capabilities: ['VDI_CREATE'],
  features: { VDI_CREATE: '1', VDI_DELETE: '1' },
  configuration: {},
  driver_filename: '',
  required_cluster_stack: [],
  supported_image_formats: ['vhd', 'raw', 'qcow2'],
  other_config: {},
}

const withSm = { 'SM.get_all_records': () => ({ [`OpaqueRef:${sm.uuid}`]: sm }) }

describe('who is asking', () => {
  test('user and password make a session that ends with the command', async () => {
    const { open, calls } = await startCliServer(withSm)
    const { code } = await (await open('sm-list', ...root)).shown()
    expect(code).toBe(0)
    expect(calls).toEqual([
      ['session.login_with_password', 'root', 'pw', '1.0', 'xe'],
      ['SM.get_all_records', 'OpaqueRef:session'],
      ['session.logout', 'OpaqueRef:session'],
    ])
  })

  test('a session that the client has is used and left', async () => {
    const { open, calls } = await startCliServer(withSm)
    const { code } = await (await open('session_id=OpaqueRef:mine', 'sm-list')).shown()
    expect(code).toBe(0)
    expect(calls).toEqual([['SM.get_all_records', 'OpaqueRef:mine']])
  })

  test.each([
    [['sm-list', 'username=root', 'password=no'], `Authentication failed\n${usage}`],
    [['sm-list'], `Username/password must be specified\n${usage}`],
    [['no-such', ...root], `Unknown command: no-such\n${usage}`],
    [['sm-list', '-x', ...root], `Syntax error: Unknown switch: -x\n${usage}`],
    [[...root], `Syntax error: command name is missing\n${usage}`],
    [['vdi-create', 'name-label=a', ...root], `Required parameter not found: sr-uuid\n${usage}`],
    [['sm-list', 'colour=red', ...root], "Error: Unknown field 'colour'\n"],
    [['sm-list', 'type:a=b', ...root], "Error: Field 'type' is not a set or map\n"],
    [
      ['sm-list', 'capabilities:has=b', ...root],
      'Error: Invalid syntax for set filtering (should be set-param:contains=key)\n',
    ],
    [
      ['vdi-create', 'sr-uuid=x', 'name-label=a', 'virtual-size=10Gallons', ...root],
      "Error: Failed to parse field 'virtual-size': expecting an integer (possibly with suffix KiB, MiB, GiB, TiB), got '10Gallons'\n",
    ],
    [
      ['vdi-destroy', 'uuid=x', 'uuid=y', ...root],
      'Error: Parameter uuid is defined multiple times, define it only once.\n',
    ],
  ])('%j ends with 1 and says why', async (lines, expected) => {
    const { open } = await startCliServer({ ...withSm, 'SR.get_by_uuid': () => 'OpaqueRef:x' })
    const shown = await (await open(...lines)).shown()
    expect(shown).toEqual({ out: '', err: expected, code: 1 })
  })
})

describe('what is shown', () => {
  test('a list in the layout of xe', async () => {
    const { open } = await startCliServer(withSm)
    expect(await (await open('sm-list', ...root)).shown()).toEqual({
      out: [
        `uuid ( RO)                : ${sm.uuid}`,
        '          name-label ( RO): Local, files',
        '    name-description ( RO): ',
        '                type ( RO): file',
        '              vendor ( RO): diskport',
        '           copyright ( RO): ',
        '       configuration ( RO): ',
        '',
        '',
        '',
      ].join('\n'),
      err: '',
      code: 0,
    })
  })

  test('a name in params= that the class does not have is passed over', async () => {
    const { open } = await startCliServer(withSm)
    expect(await (await open('sm-list', 'params=colour,uuid', ...root)).shown()).toEqual({
      out: `uuid ( RO)    : ${sm.uuid}\n\n\n`,
      err: '',
      code: 0,
    })
  })

  test('params=all shows sets and maps too', async () => {
    const { open } = await startCliServer(withSm)
    const { out } = await (await open('sm-list', 'params=all', ...root)).shown()
    expect(out).toContain('supported-image-formats ( RO): vhd; raw; qcow2\n')
    expect(out).toContain('capabilities ( RO) [DEPRECATED]: VDI_CREATE\n')
    expect(out).toContain('features (MRO): VDI_CREATE: 1; VDI_DELETE: 1\n')
  })

  test.each([
    [['--minimal'], `${sm.uuid}\n`],
    [['--minimal', 'params=name-label'], 'Local\\, files\n'],
    [['--minimal', 'type=file'], `${sm.uuid}\n`],
    [['--minimal', 'type=nfs'], '\n'],
    [['--minimal', 'features:VDI_CREATE=1'], `${sm.uuid}\n`],
    [['--minimal', 'features:VDI_CREATE=2'], '\n'],
    [['--minimal', 'supported-image-formats:contains=vhd'], `${sm.uuid}\n`],
    [['--minimal', 'supported-image-formats:contains=vmdk'], '\n'],
    [['type=nfs'], ''],
  ])('sm-list %j', async (filters, expected) => {
    const { open } = await startCliServer(withSm)
    expect((await (await open('sm-list', ...filters, ...root)).shown()).out).toBe(expected)
  })

  test('lines may end with a carriage return', async () => {
    const { open } = await startCliServer(withSm)
    const shown = await (await open('sm-list\r', '--minimal\r', ...root)).shown()
    expect(shown.out).toBe(`${sm.uuid}\n`)
  })

  test('errors: a sentence, then a line for each parameter', async () => {
    const { open } = await startCliServer({
      'VDI.get_by_uuid': () => {
        throw new AppError('UUID_INVALID', ['VDI', 'nobody'])
      },
    })
    expect(await (await open('vdi-destroy', 'uuid=nobody', ...root)).shown()).toEqual({
      out: '',
      err: 'The uuid you supplied was invalid.\ntype: VDI\nuuid: nobody\n',
      code: 1,
    })
  })

  test('help asks for no password, and knows each command', async () => {
    const { open, calls } = await startCliServer()
    const names = (await (await open('help', '--all', '--minimal')).shown()).out.trim().split(',')
    expect(names).toEqual(
      expect.arrayContaining(['vdi-export', 'vdi-import', 'vdi-list', 'sm-list']),
    )
    for (const name of names) {
      const { out, code } = await (await open('help', name)).shown()
      expect(code).toBe(0)
      expect(out).toMatch(new RegExp(`^command name            : ${name}\\n`))
      expect(out).toMatch(/description +: .{10}/)
    }
    expect((await (await open('help')).shown()).out).toContain('Common command list')
    expect((await (await open('help', 'nothing')).shown()).out).toBe("Unknown command 'nothing'\n")
    expect(calls).toEqual([])
  })
})

describe('calls', () => {
  const refs = {
    'VDI.get_by_uuid': (uuid: string) => `OpaqueRef:${uuid}`,
    'SR.get_by_uuid': (uuid: string) => `OpaqueRef:${uuid}`,
  }

  test('vdi-create with units and maps', async () => {
    const { open, calls } = await startCliServer({ ...refs, 'VDI.create': () => 'OpaqueRef:new' })
    const lines = [
      'sr-uuid=s',
      'name-label=a=b',
      'virtual-size=10GiB',
      'sm-config:image-format=vhd',
    ]
    const { out, code } = await (await open('vdi-create', ...lines, ...root)).shown()
    expect([out, code]).toEqual(['new\n', 0])
    expect(calls.find(([method]) => method === 'VDI.create')![2]).toMatchObject({
      name_label: 'a=b',
      SR: 'OpaqueRef:s',
      virtual_size: '10737418240',
      sm_config: { 'image-format': 'vhd' },
    })
  })

  test.each([
    ['512', 512],
    ['3 MiB', 3 << 20],
    ['2k', 2048],
    ['1TiB', 2 ** 40],
    ['7bytes', 7],
  ])('a size of %s', async (text, size) => {
    const { open, calls } = await startCliServer({ ...refs, 'VDI.resize': () => '' })
    await (await open('vdi-resize', 'uuid=v', `disk-size=${text}`, ...root)).shown()
    expect(calls.find(([method]) => method === 'VDI.resize')!.slice(3)).toEqual([String(size)])
  })

  test.each([
    ['vdi-enable-cbt', 'VDI.enable_cbt'],
    ['vdi-disable-cbt', 'VDI.disable_cbt'],
    ['vdi-data-destroy', 'VDI.data_destroy'],
    ['vdi-destroy', 'VDI.destroy'],
  ])('%s is one call and prints nothing', async (command, method) => {
    const { open, calls } = await startCliServer({ ...refs, [method]: () => '' })
    const { out, code } = await (await open(command, 'uuid=v', ...root)).shown()
    expect([out, code]).toEqual(['', 0])
    expect(calls.filter(([name]) => name === method)).toEqual([
      [method, 'OpaqueRef:session', 'OpaqueRef:v'],
    ])
  })

  test('vdi-clone tells of a clone that it can neither name nor destroy', async () => {
    const fail = (reason: string) => () => {
      throw new AppError('OPERATION_NOT_ALLOWED', [], { message: reason })
    }
    const { open } = await startCliServer({
      ...refs,
      'VDI.clone': () => 'OpaqueRef:c',
      'VDI.set_name_label': fail('no names'),
      'VDI.destroy': fail('no end'),
    })
    const clone = await open('vdi-clone', 'uuid=v', 'new-name-label=x', ...root)
    expect(await clone.shown()).toEqual({
      out: '',
      err: 'Error: VDI c is made, but not named (no names) and not destroyed (no end): destroy it with vdi-destroy\n',
      code: 1,
    })
  })

  test('param-set changes names and map entries, after all have been checked', async () => {
    const record = { other_config: { old: '1' } }
    const { open, calls } = await startCliServer({
      ...refs,
      'VDI.get_record': () => record,
      'VDI.set_name_label': () => '',
      'VDI.remove_from_other_config': () => '',
      'VDI.add_to_other_config': () => '',
    })
    const set = (...lines: string[]) => open('vdi-param-set', 'uuid=v', ...lines, ...root)
    expect((await (await set('name-label=x', 'other-config:old=2')).shown()).code).toBe(0)
    expect(calls.slice(-5, -1).map((call) => [call[0], ...call.slice(3)])).toEqual([
      ['VDI.get_record'],
      ['VDI.set_name_label', 'x'],
      ['VDI.remove_from_other_config', 'old'],
      ['VDI.add_to_other_config', 'old', '2'],
    ])
    const refused = await (await set('name-label=y', 'virtual-size=1')).shown()
    expect(refused.err).toBe("Error: Field 'virtual-size' is read-only.\n")
    expect(calls.filter(([method]) => method === 'VDI.set_name_label')).toHaveLength(1)
  })

  test('param-get of a field and of a key', async () => {
    const record = { name_label: 'n', other_config: { a: '1', b: '2' } }
    const { open } = await startCliServer({ ...refs, 'VDI.get_record': () => record })
    const get = async (...lines: string[]) =>
      (await (await open('vdi-param-get', 'uuid=v', ...lines, ...root)).shown()).out
    expect(await get('param-name=name-label')).toBe('n\n')
    expect(await get('param-name=other-config')).toBe('a: 1; b: 2\n')
    expect(await get('param-name=other-config', 'param-key=b')).toBe('2\n')
  })
})

describe('requests that are no commands', () => {
  test.each([
    ['without a length', 'POST /cli HTTP/1.0\r\n\r\n'],
    ['too long', `POST /cli HTTP/1.0\r\ncontent-length: ${200 * 1024 + 1}\r\n\r\n`],
  ])('%s: refused in HTTP', async (_, head) => {
    const { port } = await startCliServer()
    const client = await connectRaw(port)
    client.send(head)
    expect(await client.closed).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('a client of another protocol is left alone', async () => {
    const { port, errors } = await startCliServer(withSm)
    const client = await connectRaw(port)
    client.send('POST /cli HTTP/1.0\r\ncontent-length: 7\r\n\r\nsm-list')
    await client.until(/XenSource thin CLI protocol/)
    client.send('GET / HTTP/1.1\r\nhost: somewhere.example\r\n\r\n')
    await client.closed
    expect(errors).toEqual([])
  })

  test('one that leaves before its command is whole', async () => {
    const { port, front, errors } = await startCliServer()
    const client = await connectRaw(port)
    client.socket.end('POST /cli HTTP/1.0\r\ncontent-length: 100\r\n\r\nsm-list')
    expect(await client.closed).toBe('')
    expect(front.taken).toBe(0)
    expect(errors).toEqual([])
  })
})

describe('transfers', () => {
  const task = 'OpaqueRef:t'

  /** A XenAPI with one task that a test moves. */
  const startTransfer = async (...lines: string[]) => {
    const { methods, move } = createFakeTask(task)
    const getByUuid = (uuid: string) => `OpaqueRef:${uuid}`
    const server = await startCliServer({ 'VDI.get_by_uuid': getByUuid, ...methods })
    const client = await openCli(server.port, [...lines, ...root])
    return { ...server, client, move }
  }
  const destroyed = (calls: readonly (readonly unknown[])[]) =>
    calls.some(([method, , ref]) => method === 'task.destroy' && ref === task)

  test('vdi-export: the URL, heartbeats, then task and client agree', async () => {
    const { client, move, calls } = await startTransfer(
      'vdi-export',
      'uuid=v',
      'filename=/tmp/a b',
      'format=vhd',
      'base=w',
    )
    expect(await client.receive()).toEqual({
      kind: 'httpGet',
      fileName: '/tmp/a b',
      url: '/export_raw_vdi?session_id=OpaqueRef%3Asession&task_id=OpaqueRef%3At&vdi=OpaqueRef%3Av&format=vhd&base=OpaqueRef%3Aw',
    })
    for (let beat = 0; beat < 50; beat += 1) client.send({ kind: 'wait' })
    move({ status: 'success' })
    client.send({ kind: 'ok' })
    expect(await client.shown()).toEqual({ out: '', err: '', code: 0 })
    expect(destroyed(calls)).toBe(true)
  })

  test('a file called - is standard output', async () => {
    const { client } = await startTransfer('vdi-export', 'uuid=v', 'filename=-')
    expect(await client.receive()).toMatchObject({ kind: 'httpGet', fileName: '' })
  })

  test('vdi-import: the error of the task, though the client is content', async () => {
    const { client, move, calls } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    expect(await client.receive()).toMatchObject({
      kind: 'httpPut',
      fileName: '/x',
      // The server must know whether a format was given.
      url: expect.stringMatching(/^\/import_raw_vdi\?(?!.*format=)/) as unknown,
    })
    move({ status: 'failure', error_info: ['VDI_IO_ERROR', 'the stream ends'] })
    client.send({ kind: 'ok' })
    expect(await client.shown()).toEqual({
      out: '',
      err: 'the stream ends\n',
      code: 1,
    })
    expect(destroyed(calls)).toBe(true)
  })

  test('an error that the table does not know goes as a message of its own', async () => {
    const { client, move } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    await client.receive()
    move({ status: 'failure', error_info: ['SR_BACKEND_FAILURE_46', '', 'x'] })
    client.send({ kind: 'ok' })
    expect(await client.finish()).toEqual({
      messages: [{ kind: 'error', code: 'SR_BACKEND_FAILURE_46', params: ['', 'x'] }],
      code: 1,
    })
  })

  test('a client that failed before its request came here: CLIENT_ERROR, and the task is stopped', async () => {
    const { client, calls } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    await client.receive()
    client.send({ kind: 'failed' })
    expect(await client.shown()).toEqual({ out: '', err: 'CLIENT_ERROR\n', code: 1 })
    expect(calls.map(([method]) => method)).toContain('task.cancel')
    expect(destroyed(calls)).toBe(true)
  })

  test('--progress draws on standard error', async () => {
    const { client, move } = await startTransfer(
      'vdi-import',
      'uuid=v',
      'filename=/x',
      '--progress',
    )
    await client.receive()
    move({ progress: 0.5 })
    const drawn = await client.receive()
    expect(drawn).toMatchObject({
      kind: 'printStderr',
      text: expect.stringMatching(
        /^\r\[-\] #{26}> {28} {2}\( 50% ETA \d\d:\d\d:\d\d\) *$/,
      ) as unknown,
    })
    move({ status: 'success', progress: 1 })
    client.send({ kind: 'ok' })
    const { err, code } = await client.shown()
    expect(code).toBe(0)
    expect(err).toMatch(/^\r\[\\\] #+> {2}\(100% ETA 00:00:00\) *\nTotal time: \d+\.\d s\n$/)
  })

  test('while nothing happens, nothing is asked', async () => {
    const { client, calls, move } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    await client.receive()
    const watching = () => calls.filter(([method]) => method === 'event.from')
    await eventually('the second look', async () => (watching().length === 2 ? true : undefined))
    expect(watching().map(([, , classes]) => classes)).toEqual([[`task/${task}`], [`task/${task}`]])
    client.send({ kind: 'ok' })
    move({ status: 'success' })
    expect(await client.shown()).toMatchObject({ code: 0 })
    expect(watching()).toHaveLength(2)
  })

  test('a task that somebody takes away ends the command', async () => {
    const methods = { ...createFakeTask(task).methods }
    const gone = { token: '1', events: [], valid_ref_counts: {} }
    const { open } = await startCliServer({
      'VDI.get_by_uuid': () => 'OpaqueRef:v',
      ...methods,
      'event.from': () => gone,
    })
    const client = await open('vdi-import', 'uuid=v', 'filename=/x', ...root)
    await client.receive()
    client.send({ kind: 'ok' })
    expect(await client.shown()).toMatchObject({
      code: 1,
      err: expect.stringContaining('task') as unknown,
    })
  })

  test('events that were lost are begun anew', async () => {
    const { methods, move } = createFakeTask(task)
    let isLost = true
    const from = (...params: Parameters<(typeof methods)['event.from']>) => {
      if (params[1] === '' || !isLost) return methods['event.from'](...params)
      isLost = false
      move({ status: 'success' })
      throw new AppError('EVENTS_LOST', [])
    }
    const getByUuid = () => 'OpaqueRef:v'
    const { open } = await startCliServer({
      'VDI.get_by_uuid': getByUuid,
      ...methods,
      'event.from': from,
    })
    const client = await open('vdi-import', 'uuid=v', 'filename=/x', ...root)
    await client.receive()
    client.send({ kind: 'ok' })
    expect(await client.shown()).toMatchObject({ code: 0 })
  })

  test('a server that stops still tells how the task ended', async () => {
    const { methods, move } = createFakeTask(task)
    const from = (...params: Parameters<(typeof methods)['event.from']>) => {
      if (params[1] === '') return methods['event.from'](...params)
      setImmediate(() => move({ status: 'success' }))
      throw new AppError('HOST_IS_SHUTTING_DOWN', [])
    }
    const getByUuid = () => 'OpaqueRef:v'
    const { open } = await startCliServer({
      'VDI.get_by_uuid': getByUuid,
      ...methods,
      'event.from': from,
    })
    const client = await open('vdi-import', 'uuid=v', 'filename=/x', ...root)
    await client.receive()
    client.send({ kind: 'ok' })
    expect(await client.shown()).toMatchObject({ code: 0 })
  })

  test.each([
    ['ends its connection', 'end'],
    ['dies', 'resetAndDestroy'],
  ] as const)('a client that %s stops the task', async (_, how) => {
    const { client, calls, front } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    await client.receive()
    client.socket[how]()
    await eventually('the task to be stopped', async () => (destroyed(calls) ? true : undefined))
    expect(calls.map(([method]) => method)).toContain('task.cancel')
    expect(calls.at(-1)![0]).toMatch(/task\.destroy|session\.logout/)
    await eventually('the session to end', async () => (front.taken === 0 ? true : undefined))
  })

  test('a client that says what it was not asked ends the command', async () => {
    const { client, calls } = await startTransfer('vdi-import', 'uuid=v', 'filename=/x')
    await client.receive()
    client.send({ kind: 'print', text: 'hello' })
    await within('the end', new Promise((resolve) => client.socket.once('close', resolve)))
    expect(destroyed(calls)).toBe(true)
  })
})
