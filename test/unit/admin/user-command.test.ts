import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readUserCommand } from '../../../src/admin/user-command.ts'

const read = (line: string, environment: Record<string, string> = {}) =>
  readUserCommand(line === '' ? [] : line.split(' '), environment)

describe('diskport user', () => {
  test.each([
    ['list', { name: 'list' }],
    ['add ada', { name: 'add', user: 'ada', role: 'vm-admin' }],
    ['add ada --role pool-admin', { name: 'add', user: 'ada', role: 'pool-admin' }],
    ['passwd ada', { name: 'passwd', user: 'ada' }],
    ['set-role ada read-only', { name: 'set-role', user: 'ada', role: 'read-only' }],
    ['remove ada', { name: 'remove', user: 'ada' }],
    ['remove -- --ada', { name: 'remove', user: '--ada' }],
  ])('%s', (line, action) => {
    expect(read(line)).toMatchObject({ kind: 'run', data: resolve('./data'), action })
  })

  test('the data folder: the option, then the environment', () => {
    const environment = { DISKPORT_DATA: '/there' }
    expect(read('list', environment)).toMatchObject({ data: '/there' })
    expect(read('list --data /here', environment)).toMatchObject({ data: '/here' })
  })

  test.each([
    ['', ['user must be followed by one of list, add, passwd, set-role, remove']],
    ['lst', ['There is no "user lst"; there are list, add, passwd, set-role, remove']],
    ['add', ['It is "user add NAME": 1 words follow add, not 0']],
    ['passwd ada secret', ['It is "user passwd NAME": 1 words follow passwd, not 2']],
    ['list --role read-only', ['--role belongs to user add, not to user list']],
    [
      'set-role ada admin --data=',
      [
        expect.stringMatching(/^"admin" is no role; .*pool-admin/),
        expect.stringMatching(/^--data/),
      ],
    ],
    ['add ada --password=x', [expect.stringContaining('--password')]],
  ])('%j is told to be wrong', (line, problems) => {
    const command = read(line)
    expect(command).toMatchObject({ kind: 'wrong' })
    expect((command as { problems: readonly string[] }).problems.slice(0, problems.length)).toEqual(
      problems,
    )
  })

  test('help names all actions and roles', () => {
    const { text } = read('--help') as { text: string }
    for (const word of ['list', 'add', 'passwd', 'set-role', 'remove', 'vm-admin', '--data']) {
      expect(text).toContain(word)
    }
  })
})
