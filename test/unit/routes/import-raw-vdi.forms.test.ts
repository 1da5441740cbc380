// What an upload is and what its sender says it is: what does not agree is refused by name, before
// it changes anything.

import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { ImageFormat } from '../../../src/formats/format.ts'
import { qcow2 } from '../../../src/formats/qcow2/qcow2.ts'
import { vhd } from '../../../src/formats/vhd/vhd.ts'
import { MiB } from '../../../src/units.ts'
import { createPatternDisk, expectSameBytes, fillPattern, readAll } from '../../support/disks.ts'
import { startImportServer } from '../../support/import-server.ts'

const size = 4 * MiB

const pattern = (): Buffer => {
  const bytes = Buffer.alloc(size)
  fillPattern(0, bytes)
  return bytes
}

const identity = { uuid: '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0', timestamp: new Date(1e12) }

const imageOf = async (
  format: ImageFormat,
  options: { subformat?: 'fixed' } = {},
): Promise<Buffer> =>
  Buffer.from(
    await readAll(await format.plan(createPatternDisk([['data', size]]), identity, options)),
  )

/** The content of a disk that begins so. */
const diskWith = (start: string): Buffer => {
  const bytes = pattern()
  bytes.write(start, 'latin1')
  return bytes
}

const put = (query: string, headers: string): string =>
  `PUT /import_raw_vdi?${query} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`

const chunk = (offset: number, bytes: Uint8Array): Buffer => {
  const header = Buffer.alloc(12)
  header.writeBigUInt64LE(BigInt(offset))
  header.writeUInt32LE(bytes.length, 8)
  return Buffer.concat([header, bytes])
}

const start = async () => {
  const server = await startImportServer()
  const { connect, createVdi, createTask, ended, catalog, srUuid } = server
  /** Sends all of the body; the answer, head and text. */
  const send = async (query: string, body: Uint8Array, length = body.length): Promise<string> => {
    const client = await connect()
    client.send(put(query, `content-length: ${length}\r\n`))
    client.send(body)
    return client.until(/\r\n\r\n[^]*\n/)
  }
  return {
    ...server,
    send,
    /**
     * That an upload is refused, and leaves a VDI and the storage repository as they were; what is
     * said.
     */
    refused: async (query: string, body: Uint8Array, length = body.length): Promise<string> => {
      const vdi = await createVdi(size)
      const before = (await catalog.vdis.list()).length
      const [into, asNew] = [
        await send(`vdi=${vdi}&${query}`, body, length),
        await send(`sr_uuid=${srUuid}&${query}`, body, length),
      ]
      expect(into).toMatch(/^HTTP\/1\.1 400 /)
      expect(asNew).toMatch(/^HTTP\/1\.1 400 /)
      const task = await createTask()
      await send(`vdi=${vdi}&task_id=${task}&${query}`, body)
      const { status, errorInfo } = await ended(task)
      expect([status, errorInfo[0]]).toEqual(['failure', 'IMPORT_ERROR_GENERIC'])
      expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
      expect(await catalog.vdis.list()).toHaveLength(before)
      expect(into).toContain(errorInfo[1])
      expect(asNew).toContain(errorInfo[1])
      return errorInfo[1]!
    },
  }
}

describe('without a format', () => {
  test.each([
    ['a QCOW2', () => imageOf(qcow2), 'this is a qcow2 image: say format=qcow2, or format=raw'],
    ['a VHD', () => imageOf(vhd), 'this is a VHD image: say format=vhd, or format=raw'],
    [
      'a gzip',
      async () => gzipSync(pattern()),
      'this is compressed with gzip: say format=auto, or the format of the image inside, or say format=raw',
    ],
    ['a VMDK', async () => diskWith('KDMV'), 'say format=vmdk'],
    ['a LUKS volume', async () => diskWith('LUKS\xba\xbe'), 'say format=raw to store it as it is'],
    ['an HTML page', async () => Buffer.from('<html>Not found</html>'), 'this is an HTML page'],
  ])('%s is refused by name and not stored as the disk', async (_name, body, expected) => {
    const { refused } = await start()
    const message = await refused('', await body())
    expect(message).toMatch(/^Cannot import without a format: this is /)
    expect(message).toContain(expected)
  })

  test('the first sector is enough to refuse: the rest is not waited for', async () => {
    const { createVdi, send } = await start()
    const answer = await send(
      `vdi=${await createVdi(size)}`,
      diskWith('vhdxfile').subarray(0, 512),
      size,
    )
    expect(answer).toContain('this is a VHDX image')
  })

  test('a fixed VHD is refused by the footer at its end', async () => {
    const { refused } = await start()
    const image = await imageOf(vhd, { subformat: 'fixed' })
    expect(await refused('', image)).toMatch(
      /this is a fixed VHD image.*: say format=vhd, or format=raw/,
    )
  })

  test.each(['Transfer-Encoding: chunked', ''])(
    'a fixed VHD of unknown length (%s) is refused by its footer',
    async (header) => {
      const { connect, createVdi, createTask, ended } = await start()
      const image = await imageOf(vhd, { subformat: 'fixed' })
      // The VDI has room for the footer too.
      for (const vdiSize of [size, size + 512]) {
        const [vdi, task] = [await createVdi(vdiSize), await createTask()]
        const client = await connect()
        client.send(put(`vdi=${vdi}&task_id=${task}`, header === '' ? '' : `${header}\r\n`))
        if (header === '') client.send(image)
        else {
          client.send(`${image.length.toString(16)}\r\n`)
          client.send(image)
          client.send('\r\n0\r\n\r\n')
        }
        client.socket.end()
        const { status, errorInfo } = await ended(task)
        expect(status).toBe('failure')
        expect(errorInfo[1]).toMatch(/this is a fixed VHD image/)
      }
    },
  )

  test.each([
    ['a disk of random content', pattern()],
    [
      'an ISO 9660 image',
      Buffer.concat([Buffer.alloc(32_768), Buffer.from('\x01CD001\x01'), Buffer.alloc(2041)]),
    ],
    ['a disk with a boot sector', Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa])])],
    ['a disk of 512 bytes', Buffer.alloc(512, 7)],
    ['a body of a few bytes', Buffer.from('hello')],
  ])('%s is taken', async (_name, body) => {
    const { createVdi, send, read, srUuid } = await start()
    const vdi = await createVdi(size)
    expect(await send(`vdi=${vdi}`, body)).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes((await read(vdi)).subarray(0, body.length), body)
    expect(await send(`sr_uuid=${srUuid}`, body)).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('an image that was cut', () => {
  test.each([
    ['vhd', () => imageOf(vhd)],
    ['qcow2', () => imageOf(qcow2)],
  ] as const)('%s: VDI_IO_ERROR, whatever tells where the body ends', async (format, makeBody) => {
    const { connect, createVdi, createTask, ended, catalog } = await start()
    const image = await makeBody()
    for (const length of [400, 1500, 66_000, image.length >> 1, image.length - 70_000]) {
      const cut = image.subarray(0, length)
      const framings: [string, Buffer][] = [
        [`content-length: ${length}\r\n`, cut],
        [`content-length: ${image.length}\r\n`, cut],
        ['content-length: 1125899906842624\r\n', cut],
        [
          'transfer-encoding: chunked\r\n',
          Buffer.concat([
            Buffer.from(`${length.toString(16)}\r\n`),
            cut,
            Buffer.from('\r\n0\r\n\r\n'),
          ]),
        ],
        ['', cut],
      ]
      for (const [headers, body] of framings) {
        const [vdi, task] = [await createVdi(size), await createTask()]
        const client = await connect()
        client.send(put(`vdi=${vdi}&task_id=${task}&format=${format}`, headers))
        client.socket.end(body)
        const { status, errorInfo } = await ended(task)
        expect([length, headers, status, errorInfo[0]]).toEqual([
          length,
          headers,
          'failure',
          'VDI_IO_ERROR',
        ])
        expect(errorInfo[1]).toMatch(
          /the upload is incomplete: send all of the image$|^Cannot read the upload: the connection (broke|ended) after \d+/,
        )
        expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
      }
    }
  })
})

describe('with format=raw everything is stored as it is', () => {
  test.each([
    ['a QCOW2', () => imageOf(qcow2)],
    ['a fixed VHD', () => imageOf(vhd, { subformat: 'fixed' })],
    ['a LUKS volume', async () => diskWith('LUKS\xba\xbe')],
    ['an HTML page', async () => Buffer.from('<html>'.padEnd(512))],
  ])('%s', async (_name, makeBody) => {
    const { createVdi, send, read } = await start()
    const body = await makeBody()
    const vdi = await createVdi(8 * MiB)
    expect(await send(`vdi=${vdi}&format=raw`, body)).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes((await read(vdi)).subarray(0, body.length), body)
  })
})

describe('XenServer’s chunks', () => {
  const importChunks = async (
    server: Awaited<ReturnType<typeof start>>,
    query: string,
    chunks: readonly Uint8Array[],
  ) => {
    const { connect, createVdi, createTask, ended } = server
    const [vdi, task] = [await createVdi(size), await createTask()]
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}&chunked=true${query}`, ''))
    client.socket.end(Buffer.concat(chunks))
    return { vdi, ...(await ended(task)) }
  }
  const sector = diskWith('vhdxfile').subarray(0, 512)
  const other = pattern().subarray(0, 1024)
  const end = chunk(0, Buffer.alloc(0))

  test.each([
    ['the first', [chunk(0, sector), end]],
    ['a later one', [chunk(MiB, other), chunk(0, sector), end]],
  ])('without a format, a known form in %s is refused', async (_name, chunks) => {
    const server = await start()
    const { status, errorInfo, vdi } = await importChunks(server, '', chunks)
    expect([status, errorInfo[0]]).toEqual(['failure', 'IMPORT_ERROR_GENERIC'])
    expect(errorInfo[1]).toMatch(
      /this is a VHDX image: say format=vhdx, or format=raw to store it as it is/,
    )
    expect((await server.catalog.vdis.get(vdi))!.layerUuid).toBeNull()
  })

  test('with format=raw it is stored', async () => {
    const server = await start()
    const { status, vdi } = await importChunks(server, '&format=raw', [chunk(0, sector), end])
    expect(status).toBe('success')
    expectSameBytes((await server.read(vdi)).subarray(0, 512), sector)
  })

  test('no chunk but the end: the client is not waited for', async () => {
    const { connect, createVdi, createTask, ended } = await start()
    const [vdi, task] = [await createVdi(size), await createTask()]
    const client = await connect()
    client.send(put(`vdi=${vdi}&task_id=${task}&chunked=true`, ''))
    client.send(end)
    expect((await ended(task)).status).toBe('success')
  })

  test.each(['', '&format=raw'])('an image that is not in chunks is named (%s)', async (query) => {
    const { status, errorInfo } = await importChunks(await start(), query, [await imageOf(qcow2)])
    expect(status).toBe('failure')
    expect(errorInfo[1]).toMatch(
      /this is a qcow2 image, not in chunks: leave out chunked=true, and say format=qcow2/,
    )
  })
})

describe('with another format than the body has', () => {
  test.each([
    ['vhd', 'a QCOW2', () => imageOf(qcow2), 'this is a qcow2 image: say format=qcow2'],
    ['vhd', 'an lz4', async () => diskWith('\x04\x22\x4d\x18'), 'decompress it first (lz4 -dc'],
    ['vhd', 'a QCOW2 in gzip', async () => gzipSync(await imageOf(qcow2)), 'say format=qcow2'],
    [
      'qcow2',
      'a raw disk in gzip',
      async () => gzipSync(pattern()),
      'for a raw disk say format=raw',
    ],
    ['vhd', 'a VMDK', async () => diskWith('KDMV'), 'say format=vmdk'],
    ['vhd', 'an HTML page', async () => Buffer.from('<html></html>'), 'this is an HTML page'],
    [
      'vhd',
      'a long HTML page',
      async () => Buffer.from('<html>'.padEnd(10_000)),
      'this is an HTML page',
    ],
    ['vhd', 'a raw disk', async () => pattern(), 'this is no VHD: it starts with'],
    ['qcow2', 'a VHD', () => imageOf(vhd), 'this is a VHD image: say format=vhd'],
    ['qcow2', 'a zip', async () => diskWith('PK\x03\x04'), 'extract the disk first (unzip -p'],
    ['qcow2', 'an HTML page', async () => Buffer.from('<html></html>'), 'this is an HTML page'],
    ['qcow2', 'a raw disk', async () => pattern(), 'for a raw disk say format=raw'],
    [
      'qcow2',
      'a text',
      async () => Buffer.from('Not found'),
      'this is no qcow2 image, it starts with 4e 6f 74',
    ],
  ])('format=%s and %s: the refusal names it', async (format, _name, body, expected) => {
    const { refused } = await start()
    const message = await refused(`format=${format}`, await body())
    expect(message).toMatch(new RegExp(`^Cannot decode ${format}: `))
    expect(message).toContain(expected)
  })

  test('an lz4 from a pipe that is called vhd is named too', async () => {
    const { connect, createTask, ended, srUuid } = await start()
    const task = await createTask()
    const client = await connect()
    client.send(put(`sr_uuid=${srUuid}&task_id=${task}&format=vhd`, ''))
    client.socket.end(diskWith('\x04\x22\x4d\x18'))
    expect((await ended(task)).errorInfo[1]).toBe(
      'Cannot decode vhd: this is compressed with lz4: decompress it first (lz4 -dc disk.lz4 | curl -T - URL)',
    )
  })

  test('an image larger than the VDI is named before its size is', async () => {
    const { createVdi, send } = await start()
    const answer = await send(`vdi=${await createVdi(MiB)}&format=vhd`, diskWith('KDMV'))
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*Cannot decode vhd: this is a VMDK image/)
  })

  test('a fixed VHD is one whatever its guest has written into the first sector', async () => {
    const { createVdi, send, read } = await start()
    const image = await imageOf(vhd, { subformat: 'fixed' })
    image.write('QFI\xfb\0\0\0\x03', 'latin1')
    const vdi = await createVdi(size)
    expect(await send(`vdi=${vdi}&format=vhd`, image)).toMatch(/^HTTP\/1\.1 200 /)
    expectSameBytes(await read(vdi), image.subarray(0, size))
  })
})
