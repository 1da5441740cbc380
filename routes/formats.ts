// GET /formats: which formats images may come and go in, for clients that choose one. Needs no
// login, as it tells nothing of what lies here.

import type { Context } from 'hono'
import { Hono } from 'hono'
import { listFormats } from '../src/operations/list-formats.ts'
import type { NodeEnvironment } from './environment.ts'
import { refuseOtherMethods } from './refuse-method.ts'

const path = '/formats'

export const createFormatsRoute = (): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const answerFormats = (c: Context<NodeEnvironment>): Response => {
    const listed = listFormats()
    const formats = listed.formats.map((format) => ({
      name: format.name,
      endings: format.endings,
      media_type: format.mediaType,
      qemu_name: format.qemuName,
      maximum_size: format.maximumSize,
      imports: { deltas: format.importsDeltas },
      exports: {
        deltas: format.exportsDeltas,
        kinds: format.exports.map(({ subformat, hasLength }) => ({
          subformat,
          content_length: hasLength,
          ranges: hasLength,
        })),
        compressions: format.exportCompressions,
      },
      holds_vdis: format.holdsVdis,
    }))
    const compressions = listed.compressions.map(({ name, codings }) => ({
      name,
      content_codings: codings,
    }))
    const places = listed.places.map(({ name, format, subformat, sizeUnit }) => ({
      name,
      format,
      subformat,
      size_unit: sizeUnit,
    }))
    const archives = listed.archives.map(({ name, isWritten }) => ({
      name,
      imports: true,
      exports: isWritten,
    }))
    return c.json({ formats, compressions, places, archives })
  }
  app.get(path, answerFormats)
  app.get(`${path}/`, answerFormats)
  refuseOtherMethods(app, path, ['GET', 'HEAD'])
  return app
}
