/**
 * Replaces a list of people for a command: over the API of a running server, or on the stores
 * themselves, with the lock of the data directory where log and state are files of this machine.
 */

import { readFile, stat } from 'node:fs/promises'
import { listFileBytesMax, parseListFile } from '../collect/list-file.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { listKeyCountMax } from '../process/key-list.ts'
import { listsFullText, replaceList } from '../process/list-record.ts'
import { attemptedWrite, withLogLock, withLogWriters } from './append-record.ts'
import { createStoreDeps, readStoreOptions } from './data-reader.ts'
import { openBlobStore, openStateStore } from './open-stores.ts'
import { refuseUse } from './output.ts'
import {
  askAgain,
  faultLines,
  type Problem,
  type RemoteTarget,
  readTarget,
  refusalOf,
} from './remote-work-list.ts'

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

const okStatus = 200

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
    return refuseUse(`${path} was refused as a whole:${faultLines(parsed.faults)}`)
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
  const { dataDir } = flags
  const write = async (log: EventLog): Promise<Uploaded> => {
    const closers: (() => Promise<void>)[] = []
    try {
      const blobs = await openBlobStore(createStoreDeps(), options.state)
      closers.push(() => blobs.close())
      const state = await openStateStore(createStoreDeps(), options.state, { isReader: true })
      closers.push(() => state.close())
      const given = { log, blobs, state, clock: systemClock, random: systemRandom }
      const replaced = await replaceList(given, name, keys)
      if (replaced === 'lists-too-many') return refuseUse(listsFullText)
      return { name, keyCount: replaced.list.keyCount }
    } finally {
      for (const close of closers.reverse()) await close()
    }
  }
  return await withLogLock(options, dataDir, attemptedWrite, () =>
    withLogWriters(options, dataDir, async (open) => await write(await open('events'))),
  )
}

async function putList(target: RemoteTarget, name: string, bytes: Uint8Array): Promise<Uploaded> {
  const answer = await askAgain(systemClock, target, {
    path: `/api/v1/lists/${encodeURIComponent(name)}`,
    csv: bytes,
  })
  if (answer.status === okStatus) return (await answer.json()) as Uploaded
  throw refusalOf(target, answer.status, (await answer.json().catch(() => ({}))) as Problem)
}
