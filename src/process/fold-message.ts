/**
 * The stages of delivery's records: claim, result, outcome; and what a change of owner does to open
 * grants.
 *
 * Delivery writes no state. It asks by a claim, and what the log's order says is the answer: a
 * claim behind an exit, a withdrawal or the end of the message's life is refused, whatever delivery
 * saw when it asked.
 */

import {
  applyResult,
  type ClaimSkeleton,
  duePrefix,
  grantedPrefix,
  type Message,
  messageInputs,
  type OutcomeSkeleton,
  outcomeKinds,
  type RefusalReason,
  type ResultSkeleton,
} from '../campaign/message.ts'
import { parseAddress } from '../event/address.ts'
import type { Event } from '../event/event.ts'
import type { LogRecord } from '../log/record.ts'
import { addActivity, addToTotals, hasWithdrawn, type Person } from '../profile/person.ts'
import { currentTraits } from '../profile/view-person.ts'
import { applyComputed } from './computed-stage.ts'
import { updateMemberships } from './evaluate-segments.ts'
import { type ForwardedSkeleton, topicLeft } from './fold-event.ts'
import { countCampaign } from './meta.ts'
import { timerKey } from './partition-view.ts'
import {
  type FoldScope,
  keysOfPerson,
  loadMessage,
  readPerson,
  readTraits,
  send,
  setPresent,
  writeMessage,
  writePerson,
} from './scope.ts'
import { crossSegments } from './trigger.ts'

/** Grants looked at when the owner changes: more than delivery keeps in flight. */
export const grantedCountMax = 10_000

/** Answers a claim; whoever made it hears the answer, also where it has no effect. */
export async function foldClaim(scope: FoldScope, record: LogRecord): Promise<void> {
  const claim = record.skeleton as ClaimSkeleton
  const isGranted = await grant(scope, record.key, claim)
  const { messageId, attempt } = claim
  scope.effects.push({ kind: 'claim-answered', messageId, attempt, isGranted })
}

async function grant(scope: FoldScope, personKey: string, claim: ClaimSkeleton): Promise<boolean> {
  const { attempt, epoch } = claim
  if (epoch !== scope.meta.epoch) return false
  const message = await loadMessage(scope, claim.messageId)
  if (message === undefined || message.personKey !== personKey) return false
  if (!messageInputs[message.state.kind].claim || attempt !== message.state.attempt + 1)
    return false
  await scope.view.load(keysOfPerson(personKey))
  const person = readPerson(scope, personKey)
  const reason = refusalOf(scope, person, message)
  setPresent(scope, duePrefix + message.messageId, false)
  if (reason === undefined) {
    message.state = { kind: 'granted', attempt, epoch, atMs: scope.nowMs }
    setPresent(scope, grantedPrefix + message.messageId, true)
    countCampaign(scope.meta, message.campaign, 'granted')
  } else {
    refuse(scope, person, message, attempt, reason)
  }
  writeMessage(scope, message)
  return reason === undefined
}

function refusalOf(scope: FoldScope, person: Person, message: Message): RefusalReason | undefined {
  if (scope.nowMs > message.notAfterMs) return 'expired'
  if (!Object.hasOwn(person.openMessages, message.messageId)) return 'exit'
  if (hasWithdrawn(person, message.topic)) return 'consent'
  const { inForce } = scope.computed
  const traits = currentTraits(person, readTraits(scope, person.key), inForce)
  const email = Object.hasOwn(traits, 'email') ? traits['email']?.[0] : undefined
  return parseAddress(email).kind === 'address' ? undefined : 'no-address'
}

function refuse(
  scope: FoldScope,
  person: Person,
  message: Message,
  attempt: number,
  reason: RefusalReason,
): void {
  message.state = { kind: 'refused', attempt, atMs: scope.nowMs, reason }
  countCampaign(scope.meta, message.campaign, `refused-${reason}`)
  closeMessage(scope, person, message)
}

export async function foldResult(scope: FoldScope, record: LogRecord): Promise<void> {
  const result = record.skeleton as ResultSkeleton
  const message = await loadMessage(scope, result.messageId)
  if (message === undefined || message.personKey !== record.key) return
  const after = applyResult(message.state, result, scope.nowMs)
  if (after === message.state) return
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  message.state = after
  if (result.evidenceHash !== undefined) message.evidenceHash = result.evidenceHash
  setPresent(scope, grantedPrefix + message.messageId, false)
  countCampaign(scope.meta, message.campaign, after.kind)
  if (after.kind === 'deferred') {
    const what = `retry:${message.messageId}`
    scope.view.addTimer(timerKey(Math.ceil(after.retryAtMs), person.key, what))
  } else {
    closeMessage(scope, person, message)
  }
  writeMessage(scope, message)
}

/** Fires the timer of a deferred message: it is due again. */
export async function retryMessage(scope: FoldScope, messageId: string): Promise<void> {
  const message = await loadMessage(scope, messageId)
  if (message === undefined || !messageInputs[message.state.kind]['retry-due']) return
  message.state = { kind: 'due', attempt: message.state.attempt }
  writeMessage(scope, message)
  setPresent(scope, duePrefix + messageId, true)
  scope.effects.push({ kind: 'message-due', messageId, personKey: message.personKey })
}

/**
 * Grants of an older epoch without a result become unknown: that owner may have handed them over.
 * They stay open for the person: its result may come late and say that it has not.
 */
export async function settleGrants(scope: FoldScope): Promise<void> {
  const granted = await scope.view.list(grantedPrefix, grantedCountMax)
  for (const key of granted) {
    const message = await loadMessage(scope, key.slice(grantedPrefix.length))
    if (message?.state.kind !== 'granted' || message.state.epoch >= scope.meta.epoch) continue
    const { attempt } = message.state
    const says = 'the owner changed before a result was reported'
    message.state = { kind: 'unknown', attempt, atMs: scope.nowMs, says }
    writeMessage(scope, message)
    setPresent(scope, key, false)
    countCampaign(scope.meta, message.campaign, 'unknown')
  }
}

/** Folds what became of a message after it was handed over; the first of each kind counts. */
export async function foldOutcome(scope: FoldScope, record: LogRecord): Promise<void> {
  const { messageId, outcome, atMs } = record.skeleton as OutcomeSkeleton
  const message = await loadMessage(scope, messageId)
  if (message === undefined || message.personKey !== record.key) return
  if (!outcomeKinds.includes(outcome) || message.outcomes[outcome] !== undefined) return
  message.outcomes[outcome] = atMs
  writeMessage(scope, message)
  countCampaign(scope.meta, message.campaign, outcome)
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (person.pointer !== undefined) {
    forwardOutcome(scope, person.pointer, message, { outcome, atMs })
    return
  }
  const consents = outcome === 'unsubscribed' ? [topicLeft(person, message.topic)] : []
  for (const topic of consents) person.withdrawn[topic] = scope.nowMs
  applyOutcome(scope, person, outcomeEvent(scope, message, { outcome, atMs }), consents)
}

/** The device belongs to a user now: what its message led to is the user's event. */
function forwardOutcome(
  scope: FoldScope,
  pointer: string,
  message: Message,
  { outcome, atMs }: Pick<OutcomeSkeleton, 'outcome' | 'atMs'>,
): void {
  const event = outcomeEvent(scope, message, { outcome, atMs })
  const skeleton: ForwardedSkeleton = { partKey: message.personKey, hopCount: 1 }
  const body = Buffer.from(JSON.stringify(event))
  send(scope, { kind: 'forwarded', key: pointer, skeleton, body })
}

function outcomeEvent(
  scope: FoldScope,
  message: Message,
  { outcome, atMs }: Pick<OutcomeSkeleton, 'outcome' | 'atMs'>,
): Event {
  return {
    eventId: `${outcome}:${message.messageId}`,
    sourceId: 'delivery',
    type: 'track',
    name: eventNames[outcome],
    occurredAtMs: atMs,
    receivedAtMs: scope.nowMs,
    properties: { topic: message.topic, campaign_name: message.campaign },
  }
}

/** Names of Segment's email spec. */
const eventNames = {
  opened: 'Email Opened',
  clicked: 'Email Link Clicked',
  unsubscribed: 'Unsubscribed',
  bounced: 'Email Bounced',
  complained: 'Email Marked as Spam',
} as const

function applyOutcome(
  scope: FoldScope,
  person: Person,
  event: Event,
  consents: readonly string[],
): void {
  const { name, occurredAtMs: atMs } = event
  const part = person.parts[0]
  const changed: string[] = []
  const events = [name]
  if (part !== undefined) {
    events.push(...addActivity(person, part, [{ name, occurredAtMs: atMs, eventRef: 0 }]))
    addToTotals(person, part, { name, occurredAtMs: atMs, value: 0 })
    const counted = { event, eventRef: 0, isActivity: false, sessionIdleMs: 0 }
    changed.push(...applyComputed(scope.computed.plan, person, part, counted, scope.nowMs))
  }
  const traits = readTraits(scope, person.key)
  const change = { events, traits: changed, consents }
  crossSegments(scope, person, updateMemberships(scope, person, traits, change))
  writePerson(scope, person)
}

/** Takes a message out of those that may still be granted. */
export function closeMessage(
  scope: FoldScope,
  person: Person,
  message: Pick<Message, 'messageId'>,
): void {
  if (!Object.hasOwn(person.openMessages, message.messageId)) return
  delete person.openMessages[message.messageId]
  writePerson(scope, person)
}
