/**
 * Examines a deployment of many processes after faults, on its own stores, against what others saw:
 * the client's acknowledgements, the catcher's mails.
 *
 * It trusts the servers in nothing. The log is read record by record, and who could claim what is
 * told from its owner records alone, without the fold; each partition is folded again from the
 * first record and compared by hash; mails are counted by what arrived.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ClaimSkeleton,
  type Message,
  messagePrefix,
  type ResultSkeleton,
} from '../../src/campaign/message.ts'
import { type DataReader, withStores } from '../../src/command/data-reader.ts'
import { rebuildState } from '../../src/command/rebuild-state.ts'
import type { StoreOptions } from '../../src/command/store-options.ts'
import type { EventSkeleton } from '../../src/event/event.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { LogRecord } from '../../src/log/record.ts'
import type { OwnerSkeleton } from '../../src/process/fold.ts'
import { decodeJson, type PartitionMeta, readMeta } from '../../src/process/meta.ts'
import type { Head, StateReader } from '../../src/state/state-store.ts'
import { findOpenWork } from './open-work.ts'
import type { Examined } from './verify-data-dir.ts'

const readCount = 500
const lookMs = 200
const quietLookCount = 3

/** What the log itself says, summed over the partitions. */
export interface LogCounts {
  recordCount: number
  /** Different events. */
  eventCount: number
  /** Events that are in the log more often than once, by their ids. */
  repeatedCount: number
  ownerCount: number
  /** Claims and ticks of an owner that was no longer the newest. */
  staleClaimCount: number
  staleTickCount: number
}

export interface ClusterExamined extends Examined {
  readonly log: LogCounts
  /** The time that each partition's owners have spoken of last. */
  readonly ownerMs: readonly number[]
  /** What the log says of each message, for a failure. */
  readonly histories: ReadonlyMap<string, readonly string[]>
}

/** What one partition's log says. */
interface PartitionLog {
  epoch: number
  readonly events: Set<string>
  readonly histories: Map<string, string[]>
  /** Message and attempt of claims that their owner could make. */
  readonly claims: Set<string>
  /** Attempts that were reported as accepted, by message. */
  readonly accepted: Map<string, Set<number>>
}

/** Examines stores that nobody appends to any more. */
export async function examineCluster(stores: StoreOptions): Promise<ClusterExamined> {
  const findings: string[] = []
  const eventIds = new Set<string>()
  const messages = new Map<string, Message>()
  const histories = new Map<string, string[]>()
  const ownerMs: number[] = []
  const counts: LogCounts = {
    ...{ recordCount: 0, eventCount: 0, repeatedCount: 0, ownerCount: 0 },
    ...{ staleClaimCount: 0, staleTickCount: 0 },
  }
  await withStores(stores, async ({ log, state }) => {
    for (let partition = 0; partition < log.identity.partitionCount; partition++) {
      const said: PartitionLog = {
        ...{ epoch: 0, events: new Set(), claims: new Set(), accepted: new Map(), histories },
      }
      for (let after = 0; ; ) {
        const page = await log.read(partition, after, readCount)
        if (page.length === 0) break
        for (const record of page) hear(record, said, counts, eventIds)
        after = page.at(-1)?.offset ?? after
      }
      const own = await readMessages(state, partition)
      for (const message of own) messages.set(message.messageId, message)
      const meta = await readMeta(state, partition)
      ownerMs.push(meta?.ownerMs ?? 0)
      findings.push(...checkApplied(meta, partition, said))
      findings.push(...own.flatMap((message) => checkClaims(message, said)))
    }
  })
  findings.push(...(await checkHashes(stores)), ...checkWaiting(messages))
  return { findings, eventIds, messages, log: counts, ownerMs, histories }
}

function hear(
  record: LogRecord,
  said: PartitionLog,
  counts: LogCounts,
  eventIds: Set<string>,
): void {
  counts.recordCount++
  if (record.kind === 'event') {
    eventIds.add((record.skeleton as EventSkeleton).eventId)
    const id = `${record.key} ${Buffer.from(record.id).toString('hex')}`
    if (said.events.has(id)) counts.repeatedCount++
    else counts.eventCount++
    said.events.add(id)
  } else if (record.kind === 'owner') {
    counts.ownerCount++
    said.epoch = Math.max(said.epoch, (record.skeleton as OwnerSkeleton).epoch)
  } else if (record.kind === 'tick') {
    if ((record.skeleton as OwnerSkeleton).epoch !== said.epoch) counts.staleTickCount++
  } else if (record.kind === 'claim') {
    const { messageId, attempt, epoch } = record.skeleton as ClaimSkeleton
    note(said, messageId, record, `claim ${attempt} by epoch ${epoch} in ${said.epoch}`)
    if (epoch === said.epoch) said.claims.add(`${messageId}/${attempt}`)
    else counts.staleClaimCount++
  } else if (record.kind === 'result') {
    const { messageId, attempt, result, says } = record.skeleton as ResultSkeleton
    note(said, messageId, record, `result of ${attempt} in ${said.epoch}: ${result}, ${says}`)
    if (result !== 'accepted') return
    const attempts = said.accepted.get(messageId) ?? new Set()
    said.accepted.set(messageId, attempts.add(attempt))
  }
}

function note(said: PartitionLog, messageId: string, record: LogRecord, says: string): void {
  const history = said.histories.get(messageId) ?? []
  said.histories.set(messageId, history)
  history.push(`${record.offset} ${new Date(record.recordedAtMs).toISOString().slice(11)} ${says}`)
}

/** Each event was applied once, however often it is in the log. */
function checkApplied(
  meta: PartitionMeta | undefined,
  partition: number,
  { events }: PartitionLog,
): readonly string[] {
  const applied = meta?.counts.applied ?? 0
  if (applied === events.size) return []
  return [`partition ${partition}: ${applied} of ${events.size} different events applied`]
}

/** What was handed over had been claimed by the newest owner, and in one attempt only. */
function checkClaims(message: Message, { claims, accepted }: PartitionLog): readonly string[] {
  const { messageId, state } = message
  const attempts = accepted.get(messageId)
  const findings: string[] = []
  if ((attempts?.size ?? 0) > 1) findings.push(`message ${messageId} was accepted twice`)
  if (state.kind === 'failed') findings.push(`message ${messageId} failed: ${state.says}`)
  if (state.kind === 'due' || state.kind === 'refused') return findings
  if (claims.has(`${messageId}/${state.attempt}`)) return findings
  return [...findings, `message ${messageId} is ${state.kind} by the claim of an older owner`]
}

/** Whoever was sent something at once is sent a second message too, unless there was an order. */
function checkWaiting(messages: ReadonlyMap<string, Message>): readonly string[] {
  const counts = new Map<string, number>()
  for (const { campaign, personKey } of messages.values()) {
    if (campaign === 'at-once') counts.set(personKey, counts.get(personKey) ?? 0)
    if (campaign === 'waiting') counts.set(personKey, (counts.get(personKey) ?? 0) + 1)
  }
  const wrong = [...counts].filter(([key, count]) => {
    const hasOrdered = Number(key.replace('user:u', '')) % 5 === 0
    return count !== (hasOrdered ? 0 : 1)
  })
  if (wrong.length === 0) return []
  return [`${wrong.length} people have not their second message: ${wrong.slice(0, 5).join(' ')}`]
}

async function checkHashes(stores: StoreOptions): Promise<readonly string[]> {
  const into = await mkdtemp(join(tmpdir(), 'attune-rebuilt-'))
  try {
    const { partitions } = await rebuildState({ stores, into })
    return partitions
      .filter(({ isEqual }) => !isEqual)
      .map(
        ({ partition, offset }) => `partition ${partition}: not the fold of its log at ${offset}`,
      )
  } finally {
    await rm(into, { recursive: true, force: true })
  }
}

async function readMessages(state: StateReader, partition: number): Promise<readonly Message[]> {
  const messages: Message[] = []
  for (let after = ''; ; ) {
    const page = await state.scan(partition, messagePrefix, after, readCount)
    for (const { key, value } of page) {
      after = key
      messages.push(decodeJson<unknown>(value) as Message)
    }
    if (page.length < readCount) return messages
  }
}

/**
 * Resolves when every partition has an owner, the fold has reached the log's end, and no message,
 * timer or outbox is open. Rejects with what is open after `msMax`.
 */
export async function untilClusterQuiet(stores: StoreOptions, msMax: number): Promise<void> {
  await withStores(stores, async (data) => {
    const deadlineMs = systemClock.monotonicMs() + msMax
    for (let quietCount = 0; quietCount < quietLookCount; ) {
      const open = await openWork(data).catch((error: unknown) => [String(error)])
      quietCount = open.length === 0 ? quietCount + 1 : 0
      if (systemClock.monotonicMs() > deadlineMs) {
        throw new Error(`not quiet after ${msMax} ms:\n${open.join('\n')}`)
      }
      await systemClock.sleep(lookMs)
    }
  })
}

async function openWork({ log, state }: DataReader): Promise<readonly string[]> {
  const open: string[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const { offset, nonce } = await state.head(partition)
    const end = await log.end(partition)
    if (nonce === '') open.push(`partition ${partition} has no owner`)
    if (end !== offset) open.push(`partition ${partition} is at ${offset} of ${end}`)
    for (const key of await findOpenWork(state, partition)) {
      open.push(`partition ${partition} has ${key}`)
    }
  }
  return open
}

/** Reads all heads. */
export async function readHeads(state: StateReader, count: number): Promise<readonly Head[]> {
  return await Promise.all(Array.from({ length: count }, (_, partition) => state.head(partition)))
}
