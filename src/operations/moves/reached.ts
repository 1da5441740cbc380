// A connection that broke, as whoever asked for the move is told.

import { AppError } from '../../errors.ts'
import { RemoteCutError } from '../../remote/remote-errors.ts'

/** @returns CANNOT_CONTACT_HOST [host] for a cut; any other error as it is */
export const reached = (error: unknown): unknown =>
  error instanceof RemoteCutError
    ? new AppError('CANNOT_CONTACT_HOST', [error.host], { message: error.message, cause: error })
    : error
