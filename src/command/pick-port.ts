/** Finds a port for the demo's server. */

import { createServer } from 'node:net'
import { OperatingError } from '../lib/errors.ts'

const host = '127.0.0.1'
const usualPort = 8080

/** Takes the one asked for, the usual one where none is, else any free one. */
export async function pickPort(
  asked: number | undefined,
): Promise<{ readonly port: number; readonly isOtherPort: boolean }> {
  if (asked !== undefined && asked !== 0) return { port: asked, isOtherPort: false }
  if (asked === undefined && (await freePort(usualPort)) !== undefined) {
    return { port: usualPort, isOtherPort: false }
  }
  const port = await freePort(0)
  if (port === undefined) throw new OperatingError('PORT_BUSY', `find a free port on ${host}`)
  return { port, isOtherPort: asked === undefined }
}

/** Returns the port if it can be listened on, a free one for 0. It is let go again at once. */
async function freePort(port: number): Promise<number | undefined> {
  const probe = createServer()
  const bound = Promise.withResolvers<number | undefined>()
  probe.once('error', () => bound.resolve(undefined))
  probe.listen(port, host, () => {
    const address = probe.address()
    bound.resolve(typeof address === 'object' && address !== null ? address.port : undefined)
  })
  const found = await bound.promise
  if (found !== undefined) await new Promise((resolve) => probe.close(resolve))
  return found
}
