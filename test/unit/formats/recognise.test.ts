import { describe, expect, test } from 'vitest'
import {
  adviseChoice,
  describeMistake,
  recogniseEnd,
  recogniseForm,
} from '../../../src/formats/recognise.ts'
import { encodeFooter } from '../../../src/formats/vhd/footer.ts'
import { diskTypes } from '../../../src/formats/vhd/constants.ts'
import { MiB } from '../../../src/units.ts'
import { tarEntry } from '../../support/block-tars.ts'
import { tarHeader } from '../../support/tar-header.ts'

/** 512 bytes that begin so, one a character. */
const startOf = (text: string, at = 0): Uint8Array => {
  const bytes = Buffer.alloc(512, 0x2a)
  bytes.write(text, at, 'latin1')
  return bytes
}

/** What it is, and what to do without a format. */
const told = (start: Uint8Array): string => {
  const form = recogniseForm(start)
  return form === undefined ? 'nothing known' : `${form.name}: ${adviseChoice(form)}`
}

const asItIs = 'say format=raw to store it as it is'

/** As Python and bsdtar write what has a long name or a precise time. */
const paxFirst = (name: string): Buffer =>
  Buffer.concat([
    tarEntry({ name: 'PaxHeader/x', type: 'x', content: Buffer.from('12 mtime=1.\n') }),
    tarEntry({ name }),
  ])

describe('what an upload is, by its first bytes', () => {
  test.each([
    [
      'QCOW2',
      startOf('QFI\xfb\0\0\0\x03'),
      /^a qcow2 image: say format=qcow2, or format=raw to store it as it is$/,
    ],
    [
      'QCOW',
      startOf('QFI\xfb\0\0\0\x01'),
      /^a qcow image of version 1: .*qemu-img convert -f qcow -O qcow2/,
    ],
    ['VHD', startOf('conectix\0\0\0\x02'), /^a VHD image: say format=vhd, or format=raw to/],
    ['VHDX', startOf('vhdxfile'), /^a VHDX image: say format=vhdx, or format=raw to/],
    ['VMDK', startOf('KDMV\x01\0\0\0'), /^a VMDK image: say format=vmdk, or format=raw to/],
    ['VMDK of ESX', startOf('COWD\x01\0\0\0'), /^a VMDK image of ESX or in several files: convert/],
    ['VMDK of ESXi', startOf('\xbe\xba\xfe\xca\0\0\0\0'), /^a VMDK image of ESX/],
    ['a VMDK descriptor', startOf('# Disk DescriptorFile\nversion=1\n'), /^a VMDK image/],
    [
      'VDI',
      startOf('\x7f\x10\xda\xbe\x01\0\x01\0', 64),
      /^a VDI image of VirtualBox: say format=vdi, or/,
    ],
    ['QED', startOf('QED\0\0\0\x01\0'), /^a QED image/],
    ['Parallels', startOf('WithoutFreeSpace'), /^a Parallels image/],
    ['Parallels, extended', startOf('WithouFreSpacExt'), /^a Parallels image/],
    ['Android sparse', startOf('\x3a\xff\x26\xed\x01\0'), /^an Android sparse image: .*simg2img/],
    [
      'gzip',
      startOf('\x1f\x8b\x08\0'),
      /^compressed with gzip: say format=auto, or the format of the image inside, or say format=raw/,
    ],
    ['xz', startOf('\xfd7zXZ\0\0\x04'), /^compressed with xz: /],
    ['zstd', startOf('\x28\xb5\x2f\xfd\x04'), /^compressed with zstd: /],
    ['zstd after a skippable frame', startOf('\x50\x2a\x4d\x18\x04'), /^compressed with zstd: /],
    ['bzip2', startOf('BZh91AY&SY'), /^compressed with bzip2: /],
    ['lz4', startOf('\x04\x22\x4d\x18\x64'), /^compressed with lz4: /],
    ['lzma', startOf('\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff'), /^compressed with lzma: /],
    ['lzip', startOf('LZIP\x01\x0c'), /^compressed with lzip: /],
    ['lzop', startOf('\x89LZO\0\r\n\x1a\n'), /^compressed with lzop: /],
    ['zip', startOf('PK\x03\x04\x14\0'), /^a zip archive: extract the disk first \(unzip -p/],
    ['7z', startOf("7z\xbc\xaf'\x1c\0\x04"), /^a 7z archive: /],
    ['RAR', startOf('Rar!\x1a\x07\x01\0'), /^a RAR archive: /],
    [
      'OVA',
      tarHeader('appliance.OVF'),
      /^an OVA appliance: say format=auto, and sr_uuid in place of vdi/,
    ],
    ['XVA', tarHeader('ova.xml'), /^an exported VM of XenServer \(XVA\): /],
    [
      'tar of blocks',
      tarHeader('vdi/00000000'),
      /^a tar archive of the blocks of a disk: say format=tar, or format=raw to/,
    ],
    ['tar of a short number', tarHeader('0000000'), /^a tar archive: extract/],
    ['tar', tarHeader('disks/disk.img'), /^a tar archive: extract the disk first/],
    ['OVA behind a pax header', paxFirst('x.ovf'), /^an OVA appliance/],
    ['a pax header of nothing', paxFirst('x.ovf').subarray(0, 512), /^a tar archive/],
    ['tar from before POSIX', tarHeader('disk.img', { magic: '' }), /^a tar archive/],
    [
      'HTML',
      startOf('<!DOCTYPE html>\n<html>'),
      /^an HTML page: a server answered with it instead/,
    ],
    ['HTML in capitals', startOf('\n\t <HTML><HEAD>'), /^an HTML page/],
    ['HTML after a byte order mark', startOf('\xef\xbb\xbf\r\n<html lang="en">'), /^an HTML page/],
    ['HTML after a comment', startOf('<!-- 502 --> <html>'), /^an HTML page/],
    ['XML', startOf('<?xml version="1.0"?><Error>'), /^an XML document/],
    ['JSON', Buffer.from('{"error":"not found"}\n'), /^a JSON text/],
    ['LUKS', startOf('LUKS\xba\xbe\0\x02'), new RegExp(`^a LUKS volume: ${asItIs}$`)],
  ])('%s', (_name, start, expected) => {
    expect(told(start)).toMatch(expected)
  })

  const changed = tarHeader('disk.img')
  changed[0]! += 1
  const bootSector = startOf('\xeb\x63\x90')
  bootSector.set([0x55, 0xaa], 510)
  test.each([
    ['a boot sector', bootSector],
    ['zeros: an ISO 9660 image, a partition', new Uint8Array(512)],
    ['ext4, whose superblock comes later', new Uint8Array(512).fill(0)],
    ['a GRUB sector with a text', startOf('\xeb\x48\x90GRUB \0')],
    ['an LVM label, in the second sector', startOf('\0'.repeat(512))],
    ['XFS', startOf('XFSB\0\0\x10\0')],
    ['SquashFS', startOf('hsqs')],
    ['plain text', startOf('<a letter> {to "whom"}')],
    ['a brace and binary content', startOf('{"\0\x01')],
    ['a tar header with another checksum', changed],
    ['a short body', Buffer.from('no')],
    ['nothing', new Uint8Array(0)],
  ])('%s is a disk like any other', (_name, start) => {
    expect(told(start)).toBe('nothing known')
  })

  test('a longer start tells no more than its first sector', () => {
    const start = Buffer.concat([tarHeader('disk.img'), Buffer.alloc(1000, 0xff)])
    expect(told(start)).toMatch(/^a tar archive/)
  })
})

describe('a wrong format', () => {
  test.each([
    ['vhd', startOf('QFI\xfb\0\0\0\x03'), 'this is a qcow2 image: say format=qcow2'],
    ['qcow2', startOf('conectix'), 'this is a VHD image: say format=vhd'],
    ['qcow2', startOf('LUKS\xba\xbe'), `this is a LUKS volume: ${asItIs}`],
    ['vhd', startOf('KDMV'), 'this is a VMDK image: say format=vmdk'],
    [
      'vhd',
      startOf('QED\0'),
      'this is a QED image: convert it first (qemu-img convert -f qed -O qcow2 disk.qed disk.qcow2)',
    ],
    [
      'qcow2',
      startOf('\x04\x22\x4d\x18'),
      'this is compressed with lz4: decompress it first (lz4 -dc disk.lz4 | curl -T - URL)',
    ],
    ['qcow2', startOf('\x55\xaa', 510), 'this is a raw disk, with a boot sector: say format=raw'],
    [
      'tar',
      tarHeader('ova.xml'),
      'this is an exported VM of XenServer (XVA): say format=auto, and sr_uuid in place of vdi: its disks become new VDIs of a new VM',
    ],
    ['tar', tarHeader('vdi/00000000'), undefined],
    ['vdi', tarHeader('00000000'), 'this is a tar archive of the blocks of a disk: say format=tar'],
    ['qcow2', startOf('?'), undefined],
    ['vhd', startOf('conectix'), undefined],
  ] as const)('%s: names what it is and what to do', (format, start, expected) => {
    expect(describeMistake(start, format)).toBe(expected)
  })
})

describe('the end of a fixed VHD', () => {
  const options = {
    size: MiB,
    uuid: '0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0',
    timestamp: new Date(0),
  }
  const footer = encodeFooter({ ...options, diskType: diskTypes.fixed })

  test('is told by a footer of the size that comes before it', () => {
    expect(recogniseEnd(footer, MiB + 512)).toMatchObject({ format: 'vhd' })
    expect(recogniseEnd(footer, 2 * MiB + 512)).toBeUndefined()
    const dynamic = encodeFooter({ ...options, diskType: diskTypes.dynamic })
    expect(recogniseEnd(dynamic, MiB + 512)).toBeUndefined()
    expect(recogniseEnd(new Uint8Array(512), MiB + 512)).toBeUndefined()
    expect(recogniseEnd(footer.subarray(1), MiB + 512)).toBeUndefined()
  })
})
