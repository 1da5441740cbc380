// nginx as the peer that serves and takes files as they are: no image to plan or to read, no fsync.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { eventually } from '../test/support/wait.ts'

export interface Nginx {
  /** Serves the files of its folder, and takes others by PUT below `/put/`. */
  readonly url: string
  stop(): Promise<void>
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const configuration = (folder: string, root: string, port: number): string => {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder};`)
    .join(' ')
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx-error.log;
events {}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${temporary}
  client_max_body_size 0;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    location /put/ { dav_methods PUT; create_full_put_path on; }
  }
}
`
}

/** Starts nginx on a free port with a configuration of its own in `folder`. */
export const startNginx = async (folder: string, root: string): Promise<Nginx> => {
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(file, configuration(folder, root, port))
  const args = ['-p', folder, '-e', join(folder, 'nginx-error.log'), '-c', file]
  const child = spawn('nginx', args, { stdio: 'ignore' })
  process.once('exit', () => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  try {
    await eventually('nginx to answer', () => answers(child, url))
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

const answers = async (child: ChildProcess, url: string): Promise<boolean | undefined> => {
  if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
  return fetch(url).then(
    async (answer) => {
      await answer.arrayBuffer()
      return true
    },
    () => undefined,
  )
}
