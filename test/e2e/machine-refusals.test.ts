// Archives of machines that are cut, damaged or lie: each is refused by name, and nothing of it is
// left, not even when the server is killed between two disks.

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { blocksOf, manifestOf, tarOf, xvaObjects, xvaOf } from '../support/archives.ts'
import { endMark, tarEntry } from '../support/block-tars.ts'
import { curl, type CurlResult } from '../support/curl.ts'
import { login, type Rpc } from '../support/json-rpc.ts'
import { listLayers, listStaging } from '../support/layers.ts'
import { createDisks, ovf, ovfText, textEntry } from '../support/machine-archives.ts'
import { shareServer, startServer, type TestServer } from '../support/server.ts'
import { createTestFolder } from '../support/tools.ts'
import { asRoot, expectStatus } from '../support/transfer.ts'
import { eventually } from '../support/wait.ts'

const MiB = 1 << 20
const server = await shareServer()

const urlOf = ({ url }: TestServer, path = '/import', query = ''): string => `${url}${path}${query}`

const upload = async (bytes: Uint8Array, url: string, ...args: string[]): Promise<CurlResult> => {
  const file = join(await createTestFolder(), 'machine')
  await writeFile(file, bytes)
  return curl(...asRoot, '-T', file, ...args, url)
}

const countAll = async (rpc: Rpc): Promise<number> =>
  (await rpc<string[]>('VM.get_all')).length + (await rpc<string[]>('VDI.get_all')).length

/** Refused with the message, and nothing is left. */
const expectRefused = async (bytes: Uint8Array, message: string | RegExp, query = '') => {
  const rpc = await login(server)
  const before = await countAll(rpc)
  const answer = await upload(bytes, urlOf(server, '/import', query))
  const text = await answer.text()
  expect(answer.status).toBeGreaterThanOrEqual(400)
  if (typeof message === 'string') expect(text).toContain(message)
  else expect(text).toMatch(message)
  expect(await countAll(rpc)).toBe(before)
  await eventually('no layer to be left', async () =>
    (await listLayers(server.dataFolder)).length === 0 ? true : undefined,
  )
  expect(await listStaging(server.dataFolder)).toEqual([])
}

const folder = await mkdtemp(join(tmpdir(), 'diskport-machines-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
const { images } = await createDisks(folder)
const [first, second] = images
const files = [ovf, first, second]

const ovaWith = (text: string): Buffer => tarOf(textEntry('web.ovf', text), first, second)

describe('an OVA is refused', () => {
  test.each([
    ['a file is missing', tarOf(ovf, first), '"web-disk2.vmdk" is not in it'],
    ['a file comes twice', tarOf(ovf, first, first, second), 'holds "web-disk1.vmdk" twice'],
    [
      'a digest is wrong',
      tarOf(
        ...files,
        textEntry('web.mf', manifestOf([ovf, first, { ...second, content: Buffer.of(1) }])),
      ),
      /the SHA256 of "web-disk2.vmdk" is [0-9a-f]{64}, its manifest says [0-9a-f]{64}/,
    ],
    [
      'a digest before the disks is wrong',
      tarOf(
        ovf,
        textEntry('web.mf', manifestOf([ovf, { ...first, content: Buffer.of(1) }], 'SHA1')),
        first,
        second,
      ),
      /the SHA1 of "web-disk1.vmdk" is/,
    ],
    [
      'the manifest names what is not there',
      tarOf(...files, textEntry('web.mf', manifestOf([...files, { name: 'more.vmdk' }]))),
      'its manifest names "more.vmdk", which is not in it',
    ],
    [
      'the manifest has a digest that nobody knows',
      tarOf(...files, textEntry('web.mf', 'MD2(web.ovf)= 00\n')),
      'the digest "MD2", SHA1, SHA256, SHA512 are known',
    ],
    [
      'two manifests',
      tarOf(...files, textEntry('a.mf', ''), textEntry('b.mf', '')),
      'two manifests',
    ],
    ['its end mark is missing', tarOf(...files).subarray(0, -1024), 'without its end mark'],
    [
      'it is cut in a disk',
      tarOf(...files).subarray(0, -70_000),
      'the archive ends inside "web-disk2.vmdk"',
    ],
    [
      'a disk is damaged',
      tarOf(
        ovf,
        { ...first, content: first.content!.map((byte, at) => (at > 70_000 ? byte ^ 1 : byte)) },
        second,
      ),
      /"web-disk1.vmdk": Cannot decode vmdk/,
    ],
    [
      'a disk is none',
      tarOf(ovf, textEntry('web-disk1.vmdk', 'no disk'), second),
      /"web-disk1.vmdk": .*no vmdk image, as the OVF says/,
    ],
    [
      'a disk is empty',
      tarOf(ovf, { name: 'web-disk1.vmdk' }, second),
      '"web-disk1.vmdk" is empty',
    ],
    [
      'its XML is broken',
      ovaWith(ovfText.replace('</References>', '')),
      'it is no XML that can be read',
    ],
    [
      'it has a document type',
      ovaWith(
        `<!DOCTYPE Envelope [<!ENTITY a "b">]>${ovfText.slice(ovfText.indexOf('<Envelope'))}`,
      ),
      'it has a document type, which is not allowed',
    ],
    ['it is another XML', ovaWith('<html/>'), 'it begins with <html>, must be <Envelope>'],
    [
      'it has no VM',
      ovaWith(ovfText.replaceAll('VirtualSystem>', 'Other>').replace('<VirtualSystem ', '<Other ')),
      'it describes no VM',
    ],
    [
      'a disk lies elsewhere',
      ovaWith(ovfText.replace('ovf:href="web-disk1.vmdk"', 'ovf:href="http://127.0.0.1/x.vmdk"')),
      'nothing is fetched from there',
    ],
    [
      'a disk is in pieces',
      ovaWith(ovfText.replace('ovf:id="file1"', 'ovf:id="file1" ovf:chunkSize="1000"')),
      'in several files (chunkSize)',
    ],
    [
      'a disk lies on another',
      ovaWith(ovfText.replace('ovf:fileRef="file1"', 'ovf:fileRef="file1" ovf:parentRef="x"')),
      'lies on another disk (parentRef)',
    ],
    [
      'two disks have one file',
      ovaWith(ovfText.replace('ovf:fileRef="file2"', 'ovf:fileRef="file1"')),
      'two disks have the file "web-disk1.vmdk"',
    ],
    [
      'a disk has no file',
      ovaWith(ovfText.replace('ovf:fileRef="file2"', 'ovf:fileRef="file9"')),
      'names no file of it ("file9")',
    ],
    [
      'a VM has no such disk',
      ovaWith(ovfText.replace('ovf:/disk/vmdisk1', 'ovf:/disk/other')),
      'has no disk of it ("ovf:/disk/other")',
    ],
    [
      'a capacity is none',
      ovaWith(ovfText.replace('byte * 2^10', 'acres')),
      'the capacity of the disk "vmdisk1" is',
    ],
    [
      'an archive in it',
      tarOf(ovf, { name: 'web-disk1.vmdk', content: tarOf(ovf) }, second),
      'an archive of machines itself',
    ],
    [
      'a link in it',
      Buffer.concat([tarEntry(ovf), tarEntry({ name: 'web-disk1.vmdk', type: '2' }), endMark]),
      '"web-disk1.vmdk" is a symbolic link',
    ],
  ])('%s', (_name, bytes, message) => expectRefused(bytes, message))

  test('for a disk that is there', async () => {
    const rpc = await login(server)
    const [sr] = await rpc<string[]>('SR.get_all')
    const record = { SR: sr, virtual_size: 8 * MiB, type: 'user', name_label: 'x' }
    const vdi = await rpc<string>('VDI.create', { ...record, sharable: false, read_only: false })
    const url = urlOf(server, '/import_raw_vdi', `?vdi=${vdi}&format=auto`)
    const answer = await upload(tarOf(...files), url)
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('say sr_uuid in place of vdi')
    await rpc('VDI.destroy', vdi)
  })

  test('with what is for one disk, or nobody does', async () => {
    const url = urlOf(server, '/import_raw_vdi', '?sr_uuid=default&format=auto&size=1GiB')
    expect(await (await upload(tarOf(...files), url)).text()).toContain('size= is for one disk')
    await expectRefused(tarOf(...files), 'dry_run', '?dry_run=true')
    await expectRefused(tarOf(...files), 'this is an OVA appliance', '?format=xva')
    await expectRefused(first.content!, 'the body is a vmdk image, must be an OVA or an XVA')
    await expectRefused(Buffer.alloc(4096), 'no archive that is known')
    await expectRefused(new Uint8Array(0), 'no byte came')
  })
})

const sizes = { 'Ref:2': 2 * MiB, 'Ref:7': 3 * MiB }
const contents = { 'Ref:2': Buffer.alloc(2 * MiB, 1), 'Ref:7': Buffer.alloc(3 * MiB, 2) }
const objects = xvaObjects(sizes)

describe('an XVA is refused', () => {
  test.each([
    [
      'a disk is missing',
      xvaOf(objects, { 'Ref:2': contents['Ref:2'] }),
      'the disk "disk 1" (Ref:7) is not in it',
    ],
    ['only its metadata came', xvaOf(objects, {}), 'only metadata was exported'],
    [
      'a disk is short',
      xvaOf(objects, { ...contents, 'Ref:7': Buffer.alloc(2 * MiB) }),
      '(Ref:7) end at 2097152, it has',
    ],
    [
      'a disk is long',
      xvaOf(objects, { ...contents, 'Ref:7': Buffer.alloc(9 * MiB, 1) }),
      "data at 3145728, after the VDI's",
    ],
    [
      'a disk is nobody’s',
      xvaOf(objects, { ...contents, 'Ref:8': Buffer.alloc(MiB) }),
      '"Ref:8/00000000" is no block of a disk',
    ],
    ['a block is damaged', damaged(xvaOf(objects, contents)), 'the checksum of block 1'],
    ['a disk comes twice', twice(), '"Ref:2/00000000" is no block of a disk that is still missing'],
    ['it is cut', xvaOf(objects, contents).subarray(0, -MiB), 'ends'],
    [
      'its end mark is missing',
      xvaOf(objects, contents).subarray(0, -1024),
      'without its end mark',
    ],
    [
      'ova.xml holds nothing',
      tarOf(textEntry('ova.xml', '<value><struct/></value>')),
      'it holds no objects',
    ],
    ['it is of old', tarOf(textEntry('ova.xml', '<appliance version="0.1"/>')), 'before version 4'],
    [
      'a VDI that is not there',
      xvaOf(
        objects.filter(({ id }) => id !== 'Ref:7'),
        contents,
      ),
      'names a VDI that is not in it ("Ref:7")',
    ],
    [
      'a VDI of no size',
      xvaOf(xvaObjects({ 'Ref:2': 0 }), {}),
      'the virtual_size of the VDI "Ref:2" is "0"',
    ],
    ['two objects of one name', xvaOf([...objects, objects[0]!], contents), 'called "Ref:0"'],
    [
      'two disks at one place',
      xvaOf(
        objects.map((object) =>
          object.id === 'Ref:101'
            ? { ...object, snapshot: { ...object.snapshot, userdevice: '0' } }
            : object,
        ),
        contents,
      ),
      'two drives of the VM "db" are at 0',
    ],
    [
      'more interfaces than a VM has',
      xvaOf(
        [
          ...objects,
          ...Array.from({ length: 16 }, (_, index) => ({
            class: 'VIF',
            id: `Ref:${400 + index}`,
            snapshot: { VM: 'Ref:0', network: 'Ref:301', MAC: '', MTU: '1500' },
          })),
        ],
        contents,
      ),
      'has 17 interfaces, the limit is 16',
    ],
    ['a name that leads out', xvaOf(xvaObjects({ '../x': MiB }), {}), 'a VDI has the name "../x"'],
  ])('%s', (_name, bytes, message) => expectRefused(bytes, message))
})

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = copy.indexOf('Ref:2/00000001') + 2000
  copy[at] = copy[at]! ^ 1
  return copy
}

function twice(): Buffer {
  const blocks = blocksOf('Ref:2/', contents['Ref:2'])
  return Buffer.concat([xvaOf(objects, contents).subarray(0, -1024), ...blocks, endMark])
}

test('a server that is killed between two disks leaves nothing of them', async () => {
  const server = await startServer()
  const all = tarOf(...files)
  const url = urlOf(server)
  const client = spawn('curl', ['-sS', ...asRoot, '-T', '-', url], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  onTestFinished(() => void client.kill())
  client.stdin.on('error', () => {})
  // The first disk is whole, the second has begun.
  client.stdin.write(all.subarray(0, all.indexOf('web-disk2.vmdk', 8192) + 4096))
  await eventually('the layer of the first disk', async () =>
    (await listLayers(server.dataFolder)).length > 0 ? true : undefined,
  )
  await server.kill()
  const again = await startServer({ dataFolder: server.dataFolder })
  const rpc = await login(again)
  expect(await rpc<string[]>('VDI.get_all')).toEqual([])
  await eventually('no layer to be left', async () =>
    (await listLayers(again.dataFolder)).length === 0 ? true : undefined,
  )
  expect(await listStaging(again.dataFolder)).toEqual([])
  await expectStatus(await upload(all, urlOf(again)), 200)
})

test('a client that goes between two disks leaves nothing of them', async () => {
  const rpc = await login(server)
  const before = await countAll(rpc)
  const all = tarOf(...files)
  const client = spawn('curl', ['-sS', ...asRoot, '-T', '-', urlOf(server)], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  client.stdin.on('error', () => {})
  client.stdin.write(all.subarray(0, all.indexOf('web-disk2.vmdk', 8192) + 4096))
  await eventually('the layer of the first disk', async () =>
    (await listLayers(server.dataFolder)).length > 0 ? true : undefined,
  )
  client.kill('SIGKILL')
  await eventually('no layer to be left', async () =>
    (await listLayers(server.dataFolder)).length === 0 ? true : undefined,
  )
  expect(await countAll(rpc)).toBe(before)
})
