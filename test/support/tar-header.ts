// The header of an archive's first entry, as tar writes it.

/** 512 bytes. @param options `magic`: empty in archives from before POSIX */
export const tarHeader = (name: string, { magic = 'ustar\x0000' } = {}): Buffer => {
  const header = Buffer.alloc(512)
  header.write(name)
  header.write('0000644\0' + '0000000\0'.repeat(2), 100)
  header.write('00000001000\x0000000000000\0', 124)
  header.write(' '.repeat(8), 148)
  header.write('0', 156)
  header.write(magic, 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
