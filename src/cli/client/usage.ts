// How xe is called, for those who called it otherwise.

/** A mistake in xe's own options. */
export class UsageError extends Error {}

export const usageText = `Usage: xe <cmd> [-s server] [-p port] ([-u username] [-pw password] or [-pwf <password file>]) [--nossl] [--cacert file] [--debug] <other arguments>

A full list of commands can be obtained by running
\txe help -s <server> -p <port>
`
