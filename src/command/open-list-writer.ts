/**
 * Replaces a list of people for a command: over the API of a running server, or on the stores
 * themselves, with the lock of the data directory where log and state are files of this machine.
 */

import { readFile, stat } from 'node:fs/promises'
import { listFileBytesMax, parseListFile } from '../collect/list-file.ts'
import { armedFailpoint } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { systemRandom } from '../lib/random.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { listKeyCountMax } from '../process/key-list.ts'
import { listsFullText, replaceList } from '../process/list-record.ts'
import { lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps, readStoreOptions } from './data-reader.ts'
import { openBlobStore, openEventLog, openStateStore } from './open-stores.ts'
import { refuseUse, showText } from './output.ts'
import { type RemoteTarget, readTarget } from './remote-work-list.ts'
import { isShared } from './store-options.ts'

export interface UploadFlags {
  readonly dataDir: string
  readonly config?: string
  readonly url?: string
  readonly keyFile?: string
}

export interface Uploaded {
  readonly name: string
  readonly keyCount: number
}

const answerMsMax = 60_000
const okStatus = 200
const faultsShown = 20

export async function uploadList(
  flags: UploadFlags,
  name: string,
  path: string,
): Promise<Uploaded> {
  const bytes = await readListFile(path)
  const target = await readTarget(flags, 'write')
  if (target !== undefined) return await putList(target, name, bytes)
  const parsed = parseListFile(bytes, listKeyCountMax)
  if (parsed.kind === 'refused') {
    const faults = parsed.faults.map((fault) => `${fault.path} ${fault.says}`.trim())
    return refuseUse(`${path} was refused as a whole:\n${shown(faults)}`)
  }
  return await writeList(flags, name, parsed.keys)
}

async function readListFile(path: string): Promise<Uint8Array> {
  const failed = (error: unknown): never => {
    throw new OperatingError('CONFIG_INVALID', `read ${path}`, error)
  }
  const { size } = await stat(path).catch(failed)
  if (size > listFileBytesMax) refuseUse(`${path} has more than ${listFileBytesMax} bytes`)
  return await readFile(path).catch(failed)
}

async function writeList(
  flags: UploadFlags,
  name: string,
  keys: readonly string[],
): Promise<Uploaded> {
  const options = await readStoreOptions(flags)
  const closers: (() => unknown)[] = []
  try {
    const isLocal = !isShared(options)
    if (isLocal) {
      assertDataDir(flags.dataDir)
      const lock = await lockDataDir(flags.dataDir).catch((error: unknown) => {
        if (!(error instanceof OperatingError)) throw error
        const says = 'write to a log that a running server has; give its --url and a --key-file'
        throw new OperatingError('DATA_DIR_LOCKED', says, error)
      })
      closers.push(() => lock.release())
    }
    const failpoint = armedFailpoint()
    const thread = isLocal ? await startLogThread(flags.dataDir, { failpoint }) : undefined
    if (thread !== undefined) closers.push(() => thread.close())
    const deps = createStoreDeps()
    const port = thread?.connect()
    const log = await openEventLog(deps, options.log, { stream: 'events', port })
    closers.push(() => log.close())
    const blobs = await openBlobStore(deps, options.state)
    closers.push(() => blobs.close())
    const state = await openStateStore(deps, options.state, { isReader: true })
    closers.push(() => state.close())
    const given = { log, blobs, state, clock: systemClock, random: systemRandom }
    const replaced = await replaceList(given, name, keys)
    return replaced === 'lists-too-many'
      ? refuseUse(listsFullText)
      : { name, keyCount: replaced.list.keyCount }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function putList(
  { url, key }: RemoteTarget,
  name: string,
  bytes: Uint8Array,
): Promise<Uploaded> {
  const answer = await fetch(`${url}/api/v1/lists/${encodeURIComponent(name)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'text/csv' },
    redirect: 'error',
    signal: AbortSignal.timeout(answerMsMax),
    body: Buffer.from(bytes),
  }).catch((error: unknown) => {
    throw new OperatingError('SERVER_UNREACHABLE', `ask ${url}`, error)
  })
  if (answer.status === okStatus) return (await answer.json()) as Uploaded
  const problem = (await answer.json().catch(() => ({}))) as {
    readonly detail?: string
    readonly faults?: readonly { readonly path: string; readonly says: string }[]
  }
  const faults = (problem.faults ?? []).map((fault) => `${fault.path} ${fault.says}`.trim())
  const says = [showText(problem.detail ?? 'it is no server of this version'), shown(faults)]
  throw new OperatingError('SERVER_REFUSED', `ask ${url}: ${answer.status}: ${says.join('\n')}`)
}

function shown(faults: readonly string[]): string {
  const more = faults.length > faultsShown ? [`and ${faults.length - faultsShown} more`] : []
  return [...faults.slice(0, faultsShown).map(showText), ...more].join('\n')
}
