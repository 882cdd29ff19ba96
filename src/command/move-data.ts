/**
 * Carries a deployment from the files of one machine to other stores: log, state, side store.
 *
 * Guarantee: every record keeps its offset, every key its value; the hash of each partition's state
 * is the same before and after. The source is only read, until the end.
 *
 * Order of effects: both logs, then the side store, then the state, the head of each partition last
 * of all; then the mark in the data directory, without which its server would start again and send
 * what the new one sends. Cut off anywhere, the same call goes on where it stopped: a log at its
 * end, a partition of the state at the first one whose head is not there.
 */

import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { hashPartition } from '../state/dump.ts'
import type { Change, Head, StateStore } from '../state/state-store.ts'

export interface MoveStores {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly state: StateStore
  readonly blobs: BlobStore
}

export interface MovedPartition {
  readonly partition: number
  readonly records: number
  readonly keys: number
  readonly hashBefore: string
  readonly hashAfter: string
  readonly isEqual: boolean
}

export interface MoveProgress {
  readonly what: 'records' | 'rejected events' | 'blobs' | 'keys of the state'
  readonly count: number
}

const moveNonce = 'move'
const markName = 'moved.json'
const readCount = 1000
const appendBytesMax = 4 * 1024 * 1024
const pageCount = 500
const commitBytesMax = 2 * 1024 * 1024
const blobCount = 20

/** Moves everything; `hashes` names the source's blobs. */
export async function moveData(
  source: MoveStores & { hashes(): Iterable<string> },
  target: MoveStores,
  tell: (progress: MoveProgress) => void,
): Promise<readonly MovedPartition[]> {
  assertFits(source.log, target.log)
  const counts = await moveLog(source.log, target.log, (count) => tell({ what: 'records', count }))
  await moveLog(source.rejected, target.rejected, (count) =>
    tell({ what: 'rejected events', count }),
  )
  await moveBlobs(source, target.blobs, (count) => tell({ what: 'blobs', count }))
  const moved: MovedPartition[] = []
  for (const [partition, records] of counts.entries()) {
    const tellKeys = (count: number): void => tell({ what: 'keys of the state', count })
    const keys = await moveState(source, target, { partition, tellKeys })
    const hashBefore = await hashPartition(source.state, partition)
    const hashAfter = await hashPartition(target.state, partition)
    const isEqual = hashBefore === hashAfter
    moved.push({ partition, records, keys, hashBefore, hashAfter, isEqual })
  }
  return moved
}

function assertFits(source: EventLog, target: EventLog): void {
  const { partitionCount } = source.identity
  const found = target.identity.partitionCount
  if (found === partitionCount) return
  const says = `move to a log of ${found} partitions; this one has ${partitionCount}, for ever`
  throw new OperatingError('STORE_MISCONFIGURED', says)
}

/** Appends what the target lacks; answers the records of each partition. */
async function moveLog(
  source: EventLog,
  target: EventLog,
  tell: (count: number) => void,
): Promise<readonly number[]> {
  const counts: number[] = []
  for (let partition = 0; partition < source.identity.partitionCount; partition++) {
    const end = await source.end(partition)
    if (end > 0 && (await source.start(partition)) !== 1) {
      throw new OperatingError('LOG_OFFSET_LOST', `move partition ${partition}, which was trimmed`)
    }
    let at = await target.end(partition)
    while (at < end) {
      const records = await readPage(source, partition, at)
      const places = await target.append(records)
      // Another writer in the target would shift all that the state says of offsets.
      for (const [index, { offset }] of places.entries()) {
        if (offset !== 0 && offset !== at + index + 1) throw inUse(partition)
      }
      at += records.length
      tell(records.length)
    }
    if ((await target.end(partition)) !== end) throw inUse(partition)
    counts.push(end)
  }
  return counts
}

async function readPage(source: EventLog, partition: number, after: number) {
  const page = await source.read(partition, after, readCount)
  let bytes = 0
  const count = page.findIndex((record, index) => {
    bytes += record.body.length
    return index > 0 && bytes > appendBytesMax
  })
  const records = count === -1 ? page : page.slice(0, count)
  assert(records[0]?.offset === after + 1, 'the source has no gaps')
  return records
}

function inUse(partition: number): OperatingError {
  const says = `move into partition ${partition}, which has other records: give names that are free`
  return new OperatingError('STORE_MISCONFIGURED', says)
}

async function moveBlobs(
  source: { readonly blobs: BlobStore; hashes(): Iterable<string> },
  target: BlobStore,
  tell: (count: number) => void,
): Promise<void> {
  const put = async (hashes: readonly string[]): Promise<void> => {
    const blobs = await Promise.all(hashes.map((hash) => source.blobs.get(hash)))
    await target.put(blobs.filter((bytes) => bytes !== undefined))
    tell(hashes.length)
  }
  let waiting: string[] = []
  for (const hash of source.hashes()) {
    waiting.push(hash)
    if (waiting.length < blobCount) continue
    await put(waiting)
    waiting = []
  }
  if (waiting.length > 0) await put(waiting)
}

/** Copies the keys of a partition, its head last; answers how many keys it has. */
async function moveState(
  source: MoveStores,
  target: MoveStores,
  given: { readonly partition: number; readonly tellKeys: (count: number) => void },
): Promise<number> {
  const { partition, tellKeys } = given
  const head = await source.state.head(partition)
  const found = await target.state.head(partition)
  const isDone = isMoved(found, head, partition)
  // A move that was cut off has it still, or has released it.
  const isOurs = found.nonce === moveNonce
  const epoch = isDone
    ? found.epoch
    : Math.max(1, head.epoch, isOurs ? found.epoch : found.epoch + 1)
  if (!isDone && (await target.state.acquire(partition, epoch, moveNonce)) === 'fenced') {
    throw misplaced(partition, 'has an owner')
  }
  const commit = async (to: Pick<Head, 'offset' | 'lastRecordId'>, changes: readonly Change[]) => {
    const { incarnation } = target.log.identity
    const owner = { partition, epoch, nonce: moveNonce, incarnation, previousOffset: 0 }
    const [answer] = await target.state.commit([{ ...owner, ...to, changes }])
    if (answer === 'committed') return
    const says = `move into the state of partition ${partition}: ${answer}`
    throw new OperatingError('STORE_MISCONFIGURED', says)
  }
  let count = 0
  for await (const changes of readState(source.state, partition)) {
    if (!isDone) await commit({ offset: 0, lastRecordId: '' }, changes)
    count += changes.length
    tellKeys(changes.length)
  }
  const { offset, lastRecordId } = head
  if (!isDone && offset > 0) await commit({ offset, lastRecordId }, [])
  if (!isDone || isOurs) await target.state.release(partition, epoch, moveNonce)
  return count
}

/** Tells whether the target has the state already. Throws where it has another one. */
function isMoved(found: Head, head: Head, partition: number): boolean {
  if (found.nonce !== '' && found.nonce !== moveNonce) throw misplaced(partition, 'has an owner')
  const { offset } = found
  if (offset === 0) return false
  if (offset === head.offset && found.lastRecordId === head.lastRecordId) return true
  const says = `stands at record ${offset}, not ${head.offset}`
  throw misplaced(partition, `${says}: the source went on, or it is of another`)
}

function misplaced(partition: number, says: string): OperatingError {
  const attempted = `move into the state of partition ${partition}, which ${says}`
  return new OperatingError('STORE_MISCONFIGURED', `${attempted}; give names that are free`)
}

async function* readState(state: StateStore, partition: number): AsyncGenerator<readonly Change[]> {
  for (let after = ''; ; ) {
    const page = await state.scan(partition, '', after, pageCount)
    let changes: Change[] = []
    let bytes = 0
    for (const change of page) {
      bytes += change.value.length
      if (bytes > commitBytesMax && changes.length > 0) {
        yield changes
        changes = []
        bytes = change.value.length
      }
      changes.push(change)
    }
    if (changes.length > 0) yield changes
    if (page.length < pageCount) return
    after = page.at(-1)?.key ?? ''
  }
}

/** Says in the data directory where its deployment is now. */
export async function markMoved(dataDir: string, to: string): Promise<void> {
  const path = join(dataDir, markName)
  await writeFile(`${path}.new`, `${JSON.stringify({ to })}\n`)
  await rename(`${path}.new`, path)
}

/** Refuses a directory whose deployment runs elsewhere: two would send the same messages. */
export async function assertNotMoved(dataDir: string): Promise<void> {
  const path = join(dataDir, markName)
  if (!existsSync(path)) return
  const to = await readMark(path)
  const says = `use ${dataDir}, which was moved to ${to}; remove ${markName} to use it all the same`
  throw new OperatingError('DATA_DIR_INVALID', says)
}

async function readMark(path: string): Promise<string> {
  const { to } = JSON.parse(await readFile(path, 'utf8')) as { readonly to: string }
  return to
}
