// What a person reads of a failed command.

import { expect, test } from 'vitest'
import { errorMessages } from '../../../src/cli/cli-error.ts'
import { AppError } from '../../../src/errors.ts'

test('a snapshot without changed blocks is told of in a sentence', () => {
  const error = new AppError('VDI_NO_CBT_METADATA', ['OpaqueRef:6f1b'], {
    message: 'The changed blocks are not kept',
  })
  expect(errorMessages(error)).toEqual([
    { kind: 'printStderr', text: 'The changed blocks are not kept\n' },
    { kind: 'printStderr', text: 'vdi: 6f1b\n' },
  ])
})
