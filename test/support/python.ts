// Python as a client: a program that speaks to the server, and what it printed as JSON.

import { rootPassword, type TestServer } from './server.ts'
import { run } from './tools.ts'

/** Before each program: the proxy, how it is asked, and the session. */
const prelude = `
import json, sys, xmlrpc.client
url, password = sys.argv[1:3]
server = xmlrpc.client.ServerProxy(url)
class Failure(Exception): pass
def ask(name, *args):
    method = server
    for part in name.split('.'): method = getattr(method, part)
    answer = method(*args)
    if answer['Status'] == 'Success': return answer['Value']
    raise Failure(answer['ErrorDescription'])
def refused(name, *args):
    try: ask(name, *args)
    except Failure as failure: return failure.args[0]
session = ask('session.login_with_password', 'root', password)
out = {}
`

/**
 * Runs a Python program that fills `out`; `ask(method, …)` makes a call, `refused(method, …)` one
 * that must fail.
 * @param path where the server takes XML-RPC
 */
export const runPython = async <T>(server: TestServer, program: string, path = '/'): Promise<T> => {
  const code = `${prelude}${program}\nprint(json.dumps(out, default=str))\n`
  const { stdout } = await run('python3', ['-c', code, `${server.url}${path}`, rootPassword])
  return JSON.parse(stdout) as T
}
