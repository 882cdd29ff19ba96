import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ServerProcess } from './server-process.ts'

export interface SlowDisk {
  /**
   * Resolves when the disk is as fast as before and the server is by itself again. A signal that
   * comes to the server before is lost where strace ends with it in its hands.
   */
  end(): Promise<void>
}

/** From now on every sync of the server takes `syncMs` longer; strace holds it back. */
export async function slowDisk(server: ServerProcess, syncMs: number): Promise<SlowDisk> {
  return await injectIntoSyncs(server, `delay_enter=${syncMs * 1000}`)
}

/** From now on every sync of the server goes wrong as `how` says, in strace's words. */
export async function injectIntoSyncs(server: ServerProcess, how: string): Promise<SlowDisk> {
  return await inject(server, { calls: 'fsync,fdatasync', how })
}

/** The same for what the server writes to one file. */
export async function injectIntoWrites(
  server: ServerProcess,
  path: string,
  how: string,
): Promise<SlowDisk> {
  return await inject(server, { calls: 'write,pwrite64', how, path })
}

async function inject(
  server: ServerProcess,
  given: { readonly calls: string; readonly how: string; readonly path?: string },
): Promise<SlowDisk> {
  const { calls, how, path } = given
  const strace = spawn(
    'strace',
    [
      ...['-f', '-p', String(server.pid), '-o', '/dev/null'],
      ...(path === undefined ? [] : ['-P', path]),
      ...['-e', `trace=${calls}`, '-e', `inject=${calls}:${how}`],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const attached = Promise.withResolvers<void>()
  let said = ''
  strace.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.includes('attached')) attached.resolve()
  })
  const closed = once(strace, 'close')
  closed.then(() => attached.reject(new Error(`strace ended: ${said}`)), attached.reject)
  attached.promise.catch(() => undefined)
  await attached.promise
  return {
    async end() {
      strace.kill('SIGKILL')
      await closed
    },
  }
}
