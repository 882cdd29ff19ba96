/**
 * Examines a data directory after faults, against what others saw: the client's acknowledgements,
 * the catcher's mails.
 *
 * It trusts the server in nothing: the log is read record by record, each partition is folded
 * again from the first record into an empty state, and mails are counted by what arrived.
 */

import { type Message, messagePrefix } from '../../src/campaign/message.ts'
import { checkDataDir } from '../../src/command/check-data-dir.ts'
import type { EventSkeleton } from '../../src/event/event.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import {
  createDefinitionsCache,
  type DefinitionsCache,
} from '../../src/process/definitions-cache.ts'
import { decodeJson, readMeta } from '../../src/process/meta.ts'
import { PartitionFold } from '../../src/process/partition-fold.ts'
import { hashPartition } from '../../src/state/dump.ts'
import { createMemoryStateStore } from '../../src/state/memory-state-store.ts'
import { openSqliteBlobStore } from '../../src/state/sqlite-blob-store.ts'
import { openSqliteStateStore } from '../../src/state/sqlite-state-store.ts'
import type { StateReader } from '../../src/state/state-store.ts'

const readCount = 500
const findingCountMax = 10

export interface Seen {
  readonly acknowledged: Iterable<string>
  /** People who must have been sent a message of the campaign `at-once`. */
  readonly triggered?: Iterable<string>
  /** How often each RFC message id arrived. */
  readonly mails: ReadonlyMap<string, number>
  /** Messages that were deferred may wait for their retry. */
  readonly mayWait?: boolean
}

/** What a data directory holds, and what is wrong with it in itself. */
export interface Examined {
  readonly findings: readonly string[]
  readonly eventIds: ReadonlySet<string>
  readonly messages: ReadonlyMap<string, Message>
}

/** Reads a directory that nothing has open; `partitions` are all unless given. */
export async function examineDataDir(
  dataDir: string,
  partitions?: readonly number[],
): Promise<Examined> {
  const findings: string[] = []
  for (const finding of await checkDataDir(dataDir)) {
    if (finding.severity === 'error') findings.push(`check: ${finding.code}: ${finding.says}`)
  }
  const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  const state = await openSqliteStateStore({ dataDir, readOnly: true })
  const blobs = await openSqliteBlobStore({ dataDir })
  const definitions = createDefinitionsCache(blobs)
  const eventIds = new Set<string>()
  const messages = new Map<string, Message>()
  const all = Array.from({ length: log.identity.partitionCount }, (_, partition) => partition)
  try {
    for (const partition of partitions ?? all) {
      await guard(findings, `partition ${partition}`, async () => {
        await collectMessages(state, partition, messages)
        await checkHash(findings, { log, state, definitions }, partition)
        const eventCount = await collectEvents(log, partition, eventIds)
        await checkCounts(findings, state, partition, eventCount)
      })
    }
  } finally {
    await log.close()
    await state.close()
    await blobs.close()
  }
  return { findings, eventIds, messages }
}

/** Returns where a directory differs from what others saw. */
export function compareWithSeen({ eventIds, messages }: Examined, seen: Seen): readonly string[] {
  const lost = [...seen.acknowledged].filter((eventId) => !eventIds.has(eventId))
  return [
    ...(lost.length > 0
      ? [`${lost.length} acknowledged events are not in the log: ${first(lost)}`]
      : []),
    ...checkMails(messages, seen),
    ...checkTriggered(messages, seen.triggered),
  ]
}

/** Returns how many messages are in each state. */
export function countStates({ messages }: Examined): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { state } of messages.values()) counts[state.kind] = (counts[state.kind] ?? 0) + 1
  return counts
}

/** Adds the ids of the partition's events; returns how many different ones there are, by key. */
async function collectEvents(
  log: EventLog,
  partition: number,
  eventIds: Set<string>,
): Promise<number> {
  const different = new Set<string>()
  for (let after = 0; ; ) {
    const records = await log.read(partition, after, readCount)
    for (const record of records) {
      after = record.offset
      if (record.kind !== 'event') continue
      eventIds.add((record.skeleton as EventSkeleton).eventId)
      different.add(`${record.key} ${Buffer.from(record.id).toString('hex')}`)
    }
    if (records.length === 0) return different.size
  }
}

async function collectMessages(
  state: StateReader,
  partition: number,
  messages: Map<string, Message>,
): Promise<void> {
  for (let after = ''; ; ) {
    const page = await state.scan(partition, messagePrefix, after, readCount)
    for (const { key, value } of page) {
      after = key
      const message = decodeJson<unknown>(value) as Message
      messages.set(message.messageId, message)
    }
    if (page.length < readCount) return
  }
}

/** An event that the client repeated was applied once. */
async function checkCounts(
  findings: string[],
  state: StateReader,
  partition: number,
  eventCount: number,
): Promise<void> {
  const meta = await readMeta(state, partition)
  if (meta === undefined) return
  const { counts } = meta
  if (counts.applied === eventCount) return
  findings.push(
    `partition ${partition}: ${counts.applied} of ${eventCount} different events applied`,
  )
}

async function checkHash(
  findings: string[],
  stores: {
    readonly log: EventLog
    readonly state: StateReader
    readonly definitions: DefinitionsCache
  },
  partition: number,
): Promise<void> {
  const { log, state, definitions } = stores
  const { offset } = await state.head(partition)
  const refolded = await foldAgain(log, definitions, partition, offset)
  const [before, after] = [
    await hashPartition(state, partition),
    await hashPartition(refolded, partition),
  ]
  if (before === after) return
  const difference = await firstDifference(state, refolded, partition)
  findings.push(
    `partition ${partition}: the state at ${offset} is not the fold of the log: ${difference}`,
  )
}

/** Folds the log from its first record to `through` into an empty state. */
async function foldAgain(
  log: EventLog,
  definitions: DefinitionsCache,
  partition: number,
  through: number,
): Promise<StateReader> {
  const state = createMemoryStateStore()
  const owner = { epoch: 1, nonce: 'again' }
  await state.acquire(partition, owner.epoch, owner.nonce)
  const { partitionCount, incarnation } = log.identity
  const { definitionsOf, listOf } = definitions
  const options = { workspace: 'default', partitionCount, partition }
  const fold = new PartitionFold({ log, state, definitionsOf, listOf }, options)
  await fold.open(await state.head(partition))
  while (fold.cursor < through) {
    const records = await log.read(
      partition,
      fold.cursor,
      Math.min(readCount, through - fold.cursor),
    )
    if (records.length === 0) throw new Error(`the log ends before ${through}`)
    await fold.fold(records, () => false)
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit(owner, incarnation)
    const [answer] = await state.commit([commit])
    if (answer !== 'committed') throw new Error(`a commit of the second fold was ${answer}`)
    fold.committed(commit)
  }
  return state
}

async function firstDifference(
  before: StateReader,
  after: StateReader,
  partition: number,
): Promise<string> {
  const all = async (state: StateReader): Promise<Map<string, string>> => {
    const entries = await state.scan(partition, '', '', 1_000_000)
    const kept = entries.filter(({ key }) => !key.startsWith('outbox/'))
    return new Map(kept.map(({ key, value }) => [key, Buffer.from(value).toString('latin1')]))
  }
  const [left, right] = [await all(before), await all(after)]
  for (const [key, value] of left) {
    if (right.get(key) !== value)
      return `${key}: ${value.slice(0, 300)} / ${right.get(key)?.slice(0, 300)}`
  }
  for (const key of right.keys()) if (!left.has(key)) return `${key} is missing`
  return 'only in order'
}

/**
 * Each message arrived as often as its state says: once if accepted, at most once if unknown, else
 * never.
 */
function checkMails(
  messages: ReadonlyMap<string, Message>,
  { mails, mayWait = false }: Seen,
): readonly string[] {
  const findings: string[] = []
  const arrived = new Map<string, number>()
  for (const [rfcMessageId, count] of mails) {
    arrived.set(/^<([^@>]+)@/.exec(rfcMessageId)?.[1] ?? rfcMessageId, count)
  }
  for (const [messageId, { state }] of messages) {
    const count = arrived.get(messageId) ?? 0
    const isOpen =
      state.kind === 'due' || state.kind === 'granted' || (state.kind === 'deferred' && !mayWait)
    if (isOpen) findings.push(`message ${messageId} has not ended: ${JSON.stringify(state)}`)
    const isRight =
      state.kind === 'unknown' ? count <= 1 : count === (state.kind === 'accepted' ? 1 : 0)
    if (!isRight) findings.push(`message ${messageId} is ${state.kind} and arrived ${count} times`)
  }
  for (const messageId of arrived.keys()) {
    if (!messages.has(messageId)) findings.push(`mail ${messageId} is of no message`)
  }
  return findings.length > findingCountMax
    ? [...findings.slice(0, findingCountMax), `and ${findings.length - findingCountMax} more`]
    : findings
}

function checkTriggered(
  messages: ReadonlyMap<string, Message>,
  triggered: Iterable<string> | undefined,
): readonly string[] {
  if (triggered === undefined) return []
  const counts = new Map<string, number>()
  for (const { campaign, personKey } of messages.values()) {
    if (campaign === 'at-once') counts.set(personKey, (counts.get(personKey) ?? 0) + 1)
  }
  const without = [...triggered].filter((userId) => !counts.has(`user:${userId}`))
  const twice = [...counts].filter(([, count]) => count > 1).map(([key]) => key)
  return [
    ...(without.length > 0 ? [`${without.length} people got no message: ${first(without)}`] : []),
    ...(twice.length > 0 ? [`${twice.length} people have two messages: ${first(twice)}`] : []),
  ]
}

async function guard(findings: string[], where: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    findings.push(`${where}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function first(all: readonly string[]): string {
  return all.slice(0, 5).join(', ')
}
