// xe's commands on the real calls of XenAPI: what XenServer's xe takes, shows and says.

import { randomUUID } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { ROOT_PASSWORD } from '../../../support/catalogs.ts'
import { serveCli } from '../../../support/cli-client.ts'
import { createRawSource } from '../../../support/sources.ts'
import { createTestFolder } from '../../../support/tools.ts'
import { eventually } from '../../../support/wait.ts'
import { createTestApi, createVdi } from '../../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  onTestFinished(() => api.storage.upkeep.settled())
  /** Tokens of those who have seen all that there is, and wait. */
  const waiting: unknown[] = []
  const server = await serveCli((method, params, signal) => {
    if (method === 'event.from' && params[2] !== '') waiting.push(params[2])
    return api.dispatcher.call({ method, params: params as readonly Wire[] }, signal)
  })
  const login = ['username=root', `password=${ROOT_PASSWORD}`]
  const open = (...args: string[]) => server.open(...args, ...login)
  const xe = async (...args: string[]) => (await open(...args)).shown()
  /** The one line that a command prints; anything on standard error fails. */
  const ask = async (...args: string[]): Promise<string> => {
    const { out, err, code } = await xe(...args)
    expect({ args, err, code }).toEqual({ args, err: '', code: 0 })
    return out.trim()
  }
  const vdi = (await createVdi(api)).replace('OpaqueRef:', '')
  return { ...api, server, xe, ask, open, vdi, waiting }
}

/** An SR on a folder with one image. */
const startFolder = async () => {
  const on = await start()
  const folder = await createTestFolder()
  const disk = randomUUID()
  await createRawSource(folder, `${disk}.raw`, { size: 4096, parts: [[0, 512]] })
  const config = `device-config:location=${folder}`
  const sr = await on.ask('sr-create', 'name-label=f', 'type=file', config)
  const pbd = await on.ask('pbd-list', `sr-uuid=${sr}`, '--minimal')
  return { ...on, folder, disk, sr, pbd }
}

describe('what a command takes', () => {
  test('vdi-clone new-name-label= and new-name-description= name the clone', async () => {
    const { ask, vdi } = await start()
    const names = ['new-name-label=mine', 'new-name-description=of a test']
    const clone = await ask('vdi-clone', `uuid=${vdi}`, ...names)
    expect(await ask('vdi-list', `uuid=${clone}`, 'params=name-label', '--minimal')).toBe('mine')
    const described = ['vdi-param-get', `uuid=${clone}`, 'param-name=name-description']
    expect(await ask(...described)).toBe('of a test')
  })

  test.each([
    ['new-name-label', 'name_label', 1024],
    ['new-name-description', 'name_description', 16_384],
  ])('vdi-clone with a %s that is too long leaves no clone', async (name, field, limit) => {
    const { xe, ask, vdi } = await start()
    const text = 'x'.repeat(limit + 1)
    const found = `${limit + 1} characters`
    expect(await xe('vdi-clone', `uuid=${vdi}`, `${name}=${text}`)).toEqual({
      out: '',
      err: [
        `${field} has ${found}, the limit is ${limit}\n`,
        `field: ${field}\n`,
        `value: ${found}\n`,
      ].join(''),
      code: 1,
    })
    expect(await ask('vdi-list', '--minimal')).toBe(vdi)
  })

  test('vdi-resize online=true, vdi-create tags: in both forms', async () => {
    const { ask, vdi, srUuid } = await start()
    await ask('vdi-resize', `uuid=${vdi}`, 'disk-size=2GiB', 'online=true')
    const size = ['vdi-param-get', `uuid=${vdi}`, 'param-name=virtual-size']
    expect(await ask(...size)).toBe(String((2 << 30) >>> 0))
    const names = [`sr-uuid=${srUuid}`, 'name-label=a', 'virtual-size=1MiB']
    const made = await ask('vdi-create', ...names, 'tags=x,y', 'tags:z=')
    expect(await ask('vdi-param-get', `uuid=${made}`, 'param-name=tags')).toBe('x, y, z')
  })

  test.each([
    [[], 'neither'],
    [['sr-uuid=x', 'into-vdi-uuid=y'], 'both'],
  ])('vdi-copy %j: %s is refused', async (destination) => {
    const { xe, vdi } = await start()
    expect(await xe('vdi-copy', `uuid=${vdi}`, ...destination)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^Error: Please specify one but not both of: /) as string,
    })
  })

  test('the old form of map keys, other-config-k=v and sm-config-k=v', async () => {
    const { ask, srUuid } = await start()
    const made = await ask(
      'vdi-create',
      `sr-uuid=${srUuid}`,
      'name-label=a',
      'virtual-size=1MiB',
      'sm-config-image-format=vhd',
      'other-config-k=v',
    )
    expect(await ask('vdi-list', 'sm-config-image-format=vhd', '--minimal')).toBe(made)
    expect(await ask('vdi-list', 'other-config-k=v', '--minimal')).toBe(made)
    await ask('vdi-param-set', `uuid=${made}`, 'other-config-k=w')
    expect(await ask('vdi-list', 'other-config:k=w', '--minimal')).toBe(made)
  })

  test.each([['--all'], ['--force'], ['multiple=true'], ['message-priority=3']])(
    'lists take %s',
    async (word) => {
      const { ask, vdi } = await start()
      expect(await ask('vdi-list', `uuid=${vdi}`, word, '--minimal')).toBe(vdi)
    },
  )

  test('a parameter that is ignored is named, with what was meant', async () => {
    const { xe, ask, srUuid } = await start()
    const names = [`sr-uuid=${srUuid}`, 'name-label=a', 'virtual-size=1MiB']
    const made = await xe(
      'vdi-create',
      ...names,
      'sharble=true',
      'host=x',
      'sm-config:image-fromat=vhd',
    )
    expect(made).toMatchObject({
      code: 0,
      err: [
        'Warning: vdi-create does not know the parameter "sharble" and ignores it: did you mean sharable?\n',
        'Warning: vdi-create does not know the parameter "host" and ignores it\n',
        'Warning: "sm-config:image-fromat" has no meaning here: did you mean sm-config:image-format?\n',
      ].join(''),
    })
    const config = ['device-config:locatoin=/mnt', 'device-config:other=x']
    const sr = await xe('sr-create', 'name-label=a', 'type=file', ...config)
    expect(sr.err).toBe(
      'Warning: "device-config:locatoin" has no meaning here: did you mean device-config:location?\n',
    )
    await ask('sr-create', 'name-label=a', 'type=file', 'device-config:other=x')
  })

  test('of many parameters that are ignored ten are named, and the others counted', async () => {
    const { xe, vdi } = await start()
    const ignored = Array.from({ length: 25 }, (_, index) => `nothing-${index}=x`)
    const { err, code } = await xe('vdi-snapshot', `uuid=${vdi}`, ...ignored)
    expect(code).toBe(0)
    const lines = err.trimEnd().split('\n')
    expect(lines).toHaveLength(11)
    expect(lines[9]).toContain('"nothing-9"')
    expect(lines[10]).toBe('Warning: 15 more parameters like these')
  })

  test('nobody is warned before the login, nor with a session that is none', async () => {
    const { server, vdi } = await start()
    const line = ['vdi-snapshot', `uuid=${vdi}`, 'nothing=x']
    const shown = async (...lines: string[]) => (await server.open(...lines)).shown()
    expect(await shown(...line, 'username=root', 'password=no')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^Authentication failed/) as string,
    })
    expect(await shown('session_id=OpaqueRef:none', ...line)).toMatchObject({
      code: 1,
      err: expect.not.stringContaining('Warning') as string,
    })
    expect(await shown(...line)).toMatchObject({
      code: 1,
      err: expect.not.stringContaining('Warning') as string,
    })
  })

  test('vdi-unlock wants --force, and is deprecated', async () => {
    const { xe, vdi } = await start()
    expect(await xe('vdi-unlock', `uuid=${vdi}`)).toEqual({
      out: '',
      err: 'Error: This operation is dangerous and may cause data loss. This operation must be forced (use --force).\n',
      code: 1,
    })
    expect(await xe('vdi-unlock', `uuid=${vdi}`, '--force')).toEqual({
      out: '',
      err: 'This message has been deprecated.\n',
      code: 1,
    })
  })

  test('vdi-update, sr-update, sr-scan, message-list', async () => {
    const { ask, vdi, srUuid } = await start()
    expect(await ask('vdi-update', `uuid=${vdi}`)).toBe('')
    expect(await ask('sr-update', `uuid=${srUuid}`)).toBe('')
    expect(await ask('message-list')).toBe('')
    expect(await ask('message-list', 'class=VM', '--minimal')).toBe('')
  })

  test('user-password-change', async () => {
    const { ask, xe, login } = await start()
    const change = ['user-password-change', `old=${ROOT_PASSWORD}`, 'new=another']
    expect(await ask(...change)).toBe('')
    expect(await login('root', 'another')).toMatch(/^OpaqueRef:/)
    expect(await xe('sm-list')).toMatchObject({ code: 1 })
  })
})

describe('what is shown', () => {
  test('sm-list: vendor, copyright and configuration, sets as values', async () => {
    const { ask } = await start()
    const names = (await ask('sm-list')).match(/[a-z-]+(?= \( RO\))/g)
    expect(names).toEqual([
      'uuid',
      'name-label',
      'name-description',
      'type',
      'vendor',
      'copyright',
      'configuration',
    ])
    const all = await ask('sm-list', 'params=all')
    for (const label of [
      'capabilities ( RO) [DEPRECATED]',
      'supported-image-formats ( RO)',
      'required-cluster-stack ( RO)',
      'configuration ( RO)',
      'features (MRO)',
    ]) {
      expect(all).toContain(` ${label}: `)
    }
  })

  test('SRs by host=, and their host in the list', async () => {
    const { ask, srUuid } = await start()
    expect(await ask('sr-list', `uuid=${srUuid}`)).toMatch(/^ +host \( RO\): testhost$/m)
    expect(await ask('sr-list', 'host=testhost', '--minimal')).toBe(srUuid)
    expect(await ask('sr-list', 'host=other', '--minimal')).toBe('')
  })

  test('tasks with the underscores that they have there', async () => {
    const { ask, call } = await start()
    await call('task.create', 'a', '')
    const labels = (await ask('task-list', 'params=all')).match(/\S+ \([ SM]R[OW]\)/g)
    for (const name of ['error_info', 'subtask_of', 'allowed_operations', 'current_operations']) {
      expect(labels).toContain(`${name} ( RO)`)
    }
    expect(labels).toContain('other-config (MRW)')
  })

  test('hosts with memory, capabilities and cpu_info; pools with their types; PBDs with their host', async () => {
    const { ask, hostUuid, poolUuid } = await start()
    const host = await ask('host-param-list', `uuid=${hostUuid}`)
    for (const pattern of [
      /memory-overhead \( RO\): 0$/m,
      /memory-total \( RO\): [1-9]\d+$/m,
      /memory-free \( RO\): [1-9]\d+$/m,
      /memory-free-computed \( RO\): [1-9]\d+$/m,
      /host-metrics-live \( RO\): true$/m,
      /capabilities \(SRO\): $/m,
      /cpu_info \(MRO\): cpu_count: [1-9]\d*; /m,
    ]) {
      expect(host).toMatch(pattern)
    }
    const types = ['pool-param-get', `uuid=${poolUuid}`, 'param-name=supported-sr-types']
    expect(await ask(...types)).toBe('file')
    const pbd = await ask('pbd-list', 'params=all')
    expect(pbd).toContain(`host ( RO) [DEPRECATED]: ${hostUuid}`)
    expect(pbd).toContain('host-name-label ( RO): testhost')
  })

  test('snapshots are no set that can be filtered, allowed-operations are one', async () => {
    const { ask, vdi } = await start()
    const all = await ask('vdi-param-list', `uuid=${vdi}`)
    expect(all).toMatch(/ snapshots \( RO\): /)
    expect(all).toMatch(/ allowed-operations \(SRO\): snapshot; /)
    expect(await ask('vdi-list', 'allowed-operations:contains=snapshot', '--minimal')).toBe(vdi)
  })
})

describe('what can be changed', () => {
  test('on-boot and allow-caching of a VDI', async () => {
    const { ask, vdi, xe } = await start()
    await ask('vdi-param-set', `uuid=${vdi}`, 'on-boot=reset', 'allow-caching=true')
    const shown = await ask('vdi-list', `uuid=${vdi}`, 'params=on-boot,allow-caching')
    expect(shown).toMatch(/on-boot \( RW\) +: reset\n +allow-caching \( RW\): true/)
    expect(await xe('vdi-param-set', `uuid=${vdi}`, 'on-boot=x')).toMatchObject({ code: 1 })
  })

  test.each(['read-only=true', 'sharable=true', 'sm-config:a=b', 'xenstore-data:a=b'])(
    '%s of a VDI is read-only in xe',
    async (change) => {
      const { xe, vdi } = await start()
      expect(await xe('vdi-param-set', `uuid=${vdi}`, change)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^Error: Field '[a-z-]+' is read-only\.\n$/) as string,
      })
    },
  )

  test.each(['pool', 'host', 'sr', 'pbd', 'sm', 'vdi', 'task'])(
    '%s: other-config is added to, read, removed from and cleared',
    async (name) => {
      const { ask, call, xe } = await start()
      await call('task.create', 'a', '')
      const uuid = (await ask(`${name}-list`, '--minimal')).split(',')[0]
      const map = [`uuid=${uuid}`, 'param-name=other-config']
      const read = () => ask(`${name}-param-get`, ...map)
      await ask(`${name}-param-clear`, ...map)
      await ask(`${name}-param-add`, ...map, 'a=b', 'c=d')
      expect(await read()).toBe('a: b; c: d')
      await ask(`${name}-param-remove`, ...map, 'param-key=a')
      await ask(`${name}-param-set`, `uuid=${uuid}`, 'other-config:e=f')
      expect(await read()).toBe('c: d; e: f')
      await ask(`${name}-param-clear`, ...map)
      expect(await read()).toBe('')
      expect(await xe(`${name}-param-clear`, `uuid=${uuid}`, 'param-name=uuid')).toMatchObject({
        code: 1,
        err: 'Error: Can only clear RW parameters\n',
      })
    },
  )

  test('tags and names are cleared, default-SR too', async () => {
    const { ask, vdi, poolUuid } = await start()
    const tags = [`uuid=${vdi}`, 'param-name=tags']
    await ask('vdi-param-add', ...tags, 'param-key=x')
    expect(await ask('vdi-param-get', ...tags)).toBe('x')
    await ask('vdi-param-clear', ...tags)
    await ask('vdi-param-clear', `uuid=${vdi}`, 'param-name=name-label')
    expect(await ask('vdi-list', 'name-label=', 'tags=', '--minimal')).toBe(vdi)
    await ask('pool-param-clear', `uuid=${poolUuid}`, 'param-name=default-SR')
    const shown = await ask('pool-param-get', `uuid=${poolUuid}`, 'param-name=default-SR')
    expect(shown).toBe('<not in database>')
  })

  test.each([
    [['param-name=other-config'], 'When adding to a map'],
    [['param-name=other-config', 'param-key=a'], 'When adding to a map'],
    [['param-name=tags'], 'When adding a key to a set'],
    [['param-name=tags', 'a=b'], 'When adding a key to a set'],
    [['param-name=sm-config', 'a=b'], 'Parameter is read-only'],
    [['param-name=uuid', 'a=b'], 'Can only add to parameters of type Set or Map'],
  ])('param-add %j adds nothing and says so', async (args, expected) => {
    const { xe, vdi } = await start()
    expect(await xe('vdi-param-add', `uuid=${vdi}`, ...args)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`Error: ${expected}`) as string,
    })
  })

  test.each([
    ['vdi-param-set', ['name-label=a', 'name-label=b'], 'name-label'],
    ['vdi-param-set', ['other-config:a=1', 'other-config:a=2'], 'other-config:a'],
    ['vdi-param-set', ['other-config:a=1', 'other-config-a=2'], 'other-config:a'],
    ['vdi-param-add', ['param-name=other-config', 'a=1', 'a=2'], 'a'],
    ['vdi-param-add', ['param-name=tags', 'param-key=a', 'param-key=b'], 'param-key'],
    ['vdi-param-remove', ['param-name=tags', 'param-key=a', 'param-key=b'], 'param-key'],
    ['vdi-param-clear', ['param-name=name-label', 'param-name=tags'], 'param-name'],
  ])('%s %j: what comes twice is refused, and nothing changes', async (command, args, twice) => {
    const { xe, call, vdi } = await start()
    const before = await call('VDI.get_record', vdi)
    expect(await xe(command, `uuid=${vdi}`, ...args)).toEqual({
      out: '',
      err: `Error: Parameter ${twice} is defined multiple times, define it only once.\n`,
      code: 1,
    })
    expect(await call('VDI.get_record', vdi)).toEqual(before)
  })

  test('shared of an SR', async () => {
    const { ask, srUuid } = await start()
    await ask('sr-param-set', `uuid=${srUuid}`, 'shared=true')
    expect(await ask('sr-list', 'shared=true', '--minimal')).toBe(srUuid)
  })
})

describe('PBDs', () => {
  test('pbd-unplug detaches, pbd-plug attaches', async () => {
    const { ask, xe, pbd, disk, sr } = await startFolder()
    await ask('pbd-unplug', `uuid=${pbd}`)
    expect(await ask('pbd-list', 'currently-attached=false', '--minimal')).toBe(pbd)
    expect(await xe('vdi-update', `uuid=${disk}`)).toEqual({
      out: '',
      err: `The storage repository ${sr} is not attached: its PBD is not plugged: pbd-plug attaches it\nsr: ${sr}\n`,
      code: 1,
    })
    await ask('pbd-plug', `uuid=${pbd}`)
    await ask('vdi-update', `uuid=${disk}`)
  })

  test('a forgotten SR comes back: sr-probe, sr-introduce, pbd-create, pbd-plug', async () => {
    const { ask, pbd, disk, sr, folder, hostUuid } = await startFolder()
    const place = join(await createTestFolder(), sr)
    await ask('pbd-unplug', `uuid=${pbd}`)
    await ask('pbd-destroy', `uuid=${pbd}`)
    await cp(folder, place, { recursive: true, preserveTimestamps: true })
    await ask('sr-forget', `uuid=${sr}`)
    const probed = await ask('sr-probe', 'type=file', `device-config:location=${join(place, '..')}`)
    expect(probed).toContain(`<UUID>${sr}</UUID>\n\t\t<Location>${place}</Location>`)
    expect(await ask('sr-introduce', `uuid=${sr}`, 'name-label=back', 'type=file')).toBe(sr)
    const where = [`host-uuid=${hostUuid}`, `sr-uuid=${sr}`, `device-config:location=${place}`]
    const again = await ask('pbd-create', ...where)
    await ask('pbd-plug', `uuid=${again}`)
    expect(await ask('vdi-list', `sr-uuid=${sr}`, '--minimal')).toBe(disk)
  })
})

describe('event-wait', () => {
  test('returns at once where an object matches already', async () => {
    const { ask, vdi } = await start()
    expect(await ask('event-wait', 'class=vdi', `uuid=${vdi}`, 'name-label=/=other')).toBe('')
  })

  test('waits for a change, and for what is not to be', async () => {
    const { open, call, vdi, waiting } = await start()
    const wanted = await open('event-wait', 'class=vdi', `uuid=${vdi}`, 'name-label=new')
    const other = await open('event-wait', 'class=vdi', `uuid=${vdi}`, 'name-label=/=disk')
    await eventually('both to wait', async () => (waiting.length === 2 ? true : undefined))
    await call('VDI.set_name_label', vdi, 'new')
    for (const waiting of [wanted, other]) {
      expect(await waiting.shown()).toEqual({ out: '', err: '', code: 0 })
    }
  })

  test.each([
    ['class=console', /^Error: Cli listening for class 'console' not currently implemented/],
    ['class=vdi colour=red', /^Error: Unknown field 'colour'\n/],
  ])('%s is refused', async (args, expected) => {
    const { xe } = await start()
    const { code, err } = await xe('event-wait', ...args.split(' '))
    expect(code).toBe(1)
    expect(err).toMatch(expected)
  })
})

describe('sentences', () => {
  test('an unknown uuid', async () => {
    const { xe } = await start()
    const { err } = await xe('vdi-destroy', `uuid=${randomUUID()}`)
    expect(err).toMatch(/^The uuid you supplied was invalid\.\ntype: VDI\nuuid: [0-9a-f-]{36}\n$/)
  })

  test('a size that cannot be', async () => {
    const { xe, vdi, srUuid } = await start()
    const create = (size: string, ...more: string[]) =>
      xe('vdi-create', `sr-uuid=${srUuid}`, 'name-label=a', `virtual-size=${size}`, ...more)
    for (const { code, err } of [
      await create('0'),
      await create('17TiB'),
      await create('3TiB', 'sm-config:image-format=vhd'),
      await xe('vdi-resize', `uuid=${vdi}`, 'disk-size=1'),
    ]) {
      expect(code).toBe(1)
      expect(err).toMatch(/^VDI Invalid size: /)
      expect(err).not.toContain('NULL')
    }
  })

  test('an image format that the SR does not hold names the SR, and no VDI', async () => {
    const { xe, srUuid } = await start()
    const names = [`sr-uuid=${srUuid}`, 'name-label=a', 'virtual-size=1MiB']
    expect(await xe('vdi-create', ...names, 'sm-config:image-format=vmdk')).toEqual({
      out: '',
      err: `Image format vmdk is not supported by ${srUuid}\nsr: ${srUuid}\n`,
      code: 1,
    })
  })

  test('sr-destroy of an SR with VDIs shows its uuid and no reference', async () => {
    const { xe, srUuid } = await start()
    expect(await xe('sr-destroy', `uuid=${srUuid}`)).toEqual({
      out: '',
      err: `The storage repository ${srUuid} holds VDIs\nsr: ${srUuid}\n`,
      code: 1,
    })
  })
})
