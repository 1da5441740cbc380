// The file of authorities that --migrate-ca names.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAuthorities } from '../../../src/remote/authorities.ts'
import { createTestFolder, hasTool, run } from '../../support/tools.ts'

const refused = (found: RegExp) => ({
  code: 'INVALID_VALUE',
  message: expect.stringMatching(found) as string,
})

test.skipIf(!hasTool('openssl'))(
  'all certificates of the file are taken, and nothing else',
  async () => {
    const folder = await createTestFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const kind = ['-x509', '-nodes', '-days', '2', '-newkey', 'rsa:2048', '-subj', '/CN=a']
    await run('openssl', ['req', ...kind, '-keyout', key, '-out', cert])
    const pem = (await readAuthorities(cert)).trim()
    const both = join(folder, 'both.pem')
    await writeFile(both, `# ours\n${pem}\nsome words\n${pem}\n`)
    expect(await readAuthorities(both)).toBe(`${pem}\n${pem}`)
    await expect(readAuthorities(key)).rejects.toMatchObject(refused(/holds no certificate/))
    await expect(readAuthorities(join(folder, 'none'))).rejects.toMatchObject(refused(/ENOENT/))
    const broken = join(folder, 'broken.pem')
    await writeFile(broken, `${pem}\n${pem.replace(/\n(.{10})/, '\n')}\n`)
    await expect(readAuthorities(broken)).rejects.toMatchObject(
      refused(/certificate 2 cannot be read/),
    )
  },
)
