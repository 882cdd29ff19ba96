/**
 * Judges a demo run: what was acknowledged against what the log has, what was due against what
 * came, the state against its log, the bytes against their evidence.
 */

import type { DueMessage, ExpectedMessages } from '../../examples/shop/expected-messages.ts'
import { type Message, messagePrefix } from '../campaign/message.ts'
import type { MailCatcher } from '../catcher/mail-catcher.ts'
import { explainMessage } from '../delivery/explain.ts'
import { sha256Hex } from '../lib/hash.ts'
import { percentileOf } from '../lib/percentile.ts'
import { decodeJson, readMeta } from '../process/meta.ts'
import type { LoggedCalls } from './demo-times.ts'
import { compareWithRebuild } from './rebuild-state.ts'
import type { RunningServer } from './server.ts'

export interface DemoResult {
  readonly server: RunningServer
  readonly catcher: MailCatcher
  readonly expected: ExpectedMessages
  readonly logged: LoggedCalls
  readonly events: number
  readonly eventsPerSecond: number
  readonly freshnessMs: { readonly p50: number; readonly p99: number; readonly count: number }
}

export interface DemoFigures {
  /** Nothing lost, nothing doubled, hashes and bytes equal. */
  readonly isGood: boolean
  readonly line: Readonly<Record<string, unknown>>
}

const scanCount = 1000
const mismatchCountMax = 10

export async function judgeDemo(result: DemoResult): Promise<DemoFigures> {
  const { server, catcher, expected, logged } = result
  const messages = await readMessages(server)
  const received = receivedByMessage(catcher)
  const isUnknown = (id: string): boolean => messages.get(id)?.state.kind === 'unknown'
  const duplicateMessages = [...received].filter(
    ([id, mails]) => mails.count > 1 && !isUnknown(id),
  ).length
  const unknownMessages = [...messages.keys()].filter(isUnknown).length
  const overtaken = findOvertaken(expected, messages)
  const mismatches = findMismatches(expected, { messages, received, overtaken })
  const lost = sumOf(mismatches, ({ due, received: came }) => due - came)
  const unexpected = sumOf(mismatches, ({ due, received: came }) => came - due)
  const handOver = [...received].flatMap(([id, mails]) => {
    const message = messages.get(id)
    return message === undefined ? [] : [mails.firstAtMs - message.dueAtMs]
  })
  const evidence = await renderAgain(server, catcher, received)
  const rebuild = await compareWithRebuild(server.stores)
  const counts = await sumCounts(server)
  const line = {
    events: result.events,
    rejected: await countRejected(server),
    duplicates: counts.duplicates,
    lostEvents: logged.lostCount,
    eventsAtOddTimes: logged.oddTimeCount,
    profiles: counts.people,
    messagesDue: expected.messagesDue,
    messagesReceived: received.size,
    duplicateMessages,
    lostMessages: lost,
    unexpectedMessages: unexpected,
    overtakenMessages: overtaken.size,
    unknownMessages,
    eventsPerSecond: result.eventsPerSecond,
    triggerToHandoverMs: { p50: percentileOf(handOver, 0.5), p99: percentileOf(handOver, 0.99) },
    freshnessMs: { p50: result.freshnessMs.p50, p99: result.freshnessMs.p99 },
    freshnessSamples: result.freshnessMs.count,
    rebuildHashEqual: rebuild.isEqual,
    stateHash: rebuild.stateHash,
    rebuildHash: rebuild.rebuildHash,
    evidenceRerendered: evidence.rendered,
    evidenceEqual: evidence.equal,
    seedTightestMs: Math.round(expected.tightestMs),
    ...(mismatches.length === 0 ? {} : { mismatches: mismatches.slice(0, mismatchCountMax) }),
  }
  return { isGood: isGoodDemo(line), line }
}

/** What decides whether a demo went well, as the line shows it. */
export interface DemoCounts {
  readonly lostEvents: number
  readonly eventsAtOddTimes: number
  readonly messagesDue: number
  readonly messagesReceived: number
  readonly duplicateMessages: number
  readonly lostMessages: number
  readonly unexpectedMessages: number
  readonly rebuildHashEqual: boolean
  readonly evidenceRerendered: number
  readonly evidenceEqual: number
}

/** Where nothing was due nothing was shown. */
export function isGoodDemo(counts: DemoCounts): boolean {
  return (
    counts.lostEvents === 0 &&
    counts.eventsAtOddTimes === 0 &&
    counts.messagesDue > 0 &&
    counts.lostMessages === 0 &&
    counts.duplicateMessages === 0 &&
    counts.unexpectedMessages === 0 &&
    counts.rebuildHashEqual &&
    counts.evidenceRerendered === counts.messagesReceived &&
    counts.evidenceEqual === counts.evidenceRerendered
  )
}

function sumOf<Value>(values: readonly Value[], countOf: (value: Value) => number): number {
  return values.reduce((sum, value) => sum + Math.max(0, countOf(value)), 0)
}

interface Received {
  readonly index: number
  readonly firstAtMs: number
  count: number
}

/** By message id: our id is the left side of the RFC message id. */
function receivedByMessage(catcher: MailCatcher): ReadonlyMap<string, Received> {
  const received = new Map<string, Received>()
  for (const mail of [...catcher.list(catcher.count)].reverse()) {
    const head = Buffer.from(mail.raw.subarray(0, 8192)).toString('latin1')
    const id = /^message-id:\s*<([^@>]+)@/im.exec(head)?.[1] ?? ''
    const before = received.get(id)
    if (before === undefined) {
      received.set(id, { index: mail.index, firstAtMs: mail.receivedAtMs, count: 1 })
    } else before.count++
  }
  return received
}

/** A person and campaign for which other messages came than are due. */
interface Mismatch {
  readonly person: string
  readonly campaign: string
  readonly due: number
  readonly received: number
}

/**
 * Returns the messages that are due and must not come all the same: the fold refused the hand-over
 * since the campaign had ended for the person, and what ended it came before.
 */
function findOvertaken(
  expected: ExpectedMessages,
  messages: ReadonlyMap<string, Message>,
): ReadonlySet<DueMessage> {
  const overtaken = new Set<DueMessage>()
  for (const { state, personKey, campaign } of messages.values()) {
    if (state.kind !== 'refused' || state.reason !== 'exit') continue
    const due = (expected.byPerson.get(personKey.replace(/^user:/, '')) ?? []).find(
      (one) =>
        one.campaign === campaign &&
        !overtaken.has(one) &&
        one.exitAtMs !== undefined &&
        one.exitAtMs <= state.atMs,
    )
    if (due !== undefined) overtaken.add(due)
  }
  return overtaken
}

function findMismatches(
  expected: ExpectedMessages,
  given: {
    readonly messages: ReadonlyMap<string, Message>
    readonly received: ReadonlyMap<string, Received>
    readonly overtaken: ReadonlySet<DueMessage>
  },
): readonly Mismatch[] {
  const { messages, received, overtaken } = given
  const slots = new Map<
    string,
    { person: string; campaign: string; due: number; received: number }
  >()
  const slotOf = (person: string, campaign: string): { due: number; received: number } => {
    const key = `${campaign} ${person}`
    const slot = slots.get(key) ?? { person, campaign, due: 0, received: 0 }
    slots.set(key, slot)
    return slot
  }
  for (const [person, list] of expected.byPerson) {
    for (const message of list) {
      const slot = slotOf(`user:${person}`, message.campaign)
      if (!overtaken.has(message)) slot.due++
    }
  }
  for (const id of received.keys()) {
    const message = messages.get(id)
    slotOf(message?.personKey ?? 'unknown', message?.campaign ?? 'unknown').received++
  }
  return [...slots.values()].filter(({ due, received: came }) => due !== came)
}

async function readMessages(server: RunningServer): Promise<ReadonlyMap<string, Message>> {
  const messages = new Map<string, Message>()
  for (let partition = 0; partition < server.log.identity.partitionCount; partition++) {
    for (let after = ''; ; ) {
      const page = await server.state.scan(partition, messagePrefix, after, scanCount)
      for (const { value } of page) {
        const message = decodeJson<Message>(value)
        messages.set(message.messageId, message)
      }
      if (page.length < scanCount) break
      after = page.at(-1)?.key ?? ''
    }
  }
  return messages
}

/**
 * Renders each received message from its evidence, and compares with the bytes that came by SMTP.
 */
async function renderAgain(
  server: RunningServer,
  catcher: MailCatcher,
  received: ReadonlyMap<string, Received>,
): Promise<{ readonly rendered: number; readonly equal: number }> {
  const { state, blobs, owner, log } = server
  const { partitionCount } = log.identity
  const place = { state, workspace: 'default', partitionCount }
  let rendered = 0
  let equal = 0
  for (const [id, mail] of received) {
    const answer = await explainMessage({ place, blobs, render: owner.render }, id)
    if (answer.kind === 'refused') continue
    rendered++
    const raw = catcher.get(mail.index)?.raw
    const isReceived = raw !== undefined && sha256Hex(raw) === answer.renderedHash
    if (answer.isSame && isReceived) equal++
  }
  return { rendered, equal }
}

async function sumCounts(
  server: RunningServer,
): Promise<{ readonly duplicates: number; readonly people: number }> {
  let duplicates = 0
  let people = 0
  for (let partition = 0; partition < server.log.identity.partitionCount; partition++) {
    const { counts } = (await readMeta(server.state, partition)) ?? {}
    duplicates += counts?.duplicates ?? 0
    people += counts?.people ?? 0
  }
  return { duplicates, people }
}

async function countRejected(server: RunningServer): Promise<number> {
  let count = 0
  for (let partition = 0; partition < server.rejected.identity.partitionCount; partition++) {
    count += await server.rejected.end(partition)
  }
  return count
}
