import { describe, expect, test } from 'vitest'
import { errorReply } from '../../../routes/error-response.ts'
import { AppError } from '../../../src/errors.ts'

const textOf = (error: AppError): string => errorReply(error, undefined).body

describe('the line of an error', () => {
  test.each([
    [
      'a reason among the parameters',
      new AppError('VALUE_NOT_SUPPORTED', ['format', 'raw', 'a raw image needs a size']),
      'VALUE_NOT_SUPPORTED [format, raw]: The value "raw" of format: a raw image needs a size\n',
    ],
    [
      'a parameter that is the sentence',
      new AppError('IMPORT_ERROR_GENERIC', ['Cannot decode vhd: it is none']),
      'IMPORT_ERROR_GENERIC: Cannot decode vhd: it is none\n',
    ],
    [
      'a parameter that is a sentence of one word',
      new AppError('INTERNAL_ERROR', ['Failed']),
      'INTERNAL_ERROR: Failed\n',
    ],
    [
      'a permission and its reason',
      new AppError('RBAC_PERMISSION_DENIED', ['http/put', 'your role is read-only']),
      'RBAC_PERMISSION_DENIED [http/put]: Permission http/put denied: your role is read-only\n',
    ],
    [
      'names and references',
      new AppError('HANDLE_INVALID', ['VDI', 'OpaqueRef:x']),
      'HANDLE_INVALID [VDI, OpaqueRef:x]: There is no VDI with the reference OpaqueRef:x\n',
    ],
    ['no parameter', new AppError('SR_FULL', []), 'SR_FULL: The storage repository is full\n'],
  ])('%s: nothing is said twice', (_name, error, expected) => {
    expect(textOf(error)).toBe(expected)
  })

  test('JSON holds all parameters', () => {
    const error = new AppError('VALUE_NOT_SUPPORTED', ['format', 'raw', 'it needs a size'])
    expect(JSON.parse(errorReply(error, 'application/json').body)).toEqual({
      code: 'VALUE_NOT_SUPPORTED',
      params: ['format', 'raw', 'it needs a size'],
      message: 'The value "raw" of format: it needs a size',
    })
  })
})
