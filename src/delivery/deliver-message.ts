/**
 * One attempt to deliver one message.
 *
 * Order of effects:
 *   1. wait until the profile, and the list of suppressed addresses, are fresh enough;
 *   2. append the claim, and wait for the fold's answer (`granted` is committed when it is heard);
 *   3. read, render, and store the evidence;
 *   4. once the mailer could begin, read the suppression of the address, the consent, and whether
 *      the campaign has ended for the person (again, where that took over 2 s); hand over;
 *   5. append the result.
 * A crash behind 2 leaves a grant without a result: the next owner makes it `unknown`. Nothing is
 * handed over twice. A store may lose commits while its owner lives: behind the reads of 3 and 4
 * its heads are looked at, and where one has gone back the attempt is given back.
 */

import type { Message, ResultSkeleton } from '../campaign/message.ts'
import { parseAddress } from '../event/address.ts'
import type { Event } from '../event/event.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { currentTraits, textTrait, viewPerson } from '../profile/view-person.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { rendererVersion } from '../template/renderer-version.ts'
import type { RenderedMessage, Renderer, RenderInput, Template } from '../template/template.ts'
import { type Check, checkMessage } from './check-message.ts'
import { type Evidence, encodeEvidence, evidenceFormat } from './evidence.ts'
import { hasLostCommits, type LostCommitsDeps, lossSays, partitionsBehind } from './lost-commits.ts'
import type { Mailer } from './mailer.ts'
import { type FoundPerson, findMessage, findPerson } from './read-state.ts'
import {
  type BuiltValues,
  buildValues,
  type ValueDeps,
  type ValueRequest,
} from './render-values.ts'
import { addressKeyOf } from './suppression.ts'

/** Looks at the age of the data, `staleWaitMs` apart, before an attempt makes room for others. */
const staleLookCountMax = 20

export interface DeliverDeps extends ValueDeps, LostCommitsDeps {
  readonly clock: Clock
  readonly renderer: Renderer
  readonly mailer: Mailer
  readonly blobs: Pick<BlobStore, 'put'>
  /** Appends a claim and resolves with the fold's answer once it is committed. */
  claim(message: Message, attempt: number): Promise<boolean>
  /** Waits until the next hand-over may begin. */
  pace(signal: AbortSignal): Promise<void>
  /** Appends a result; resolves when it is durable. */
  report(message: Message, result: ResultSkeleton): Promise<void>
  /** Greatest age of what the state shows of this partition. */
  ageMs(partition: number): number
  /** The definitions that were in force when the message was made. */
  templateOf(message: Message): Promise<PreparedTemplate | undefined>
  triggerEventOf(partition: number, message: Message): Promise<Event | undefined>
}

export interface PreparedTemplate {
  readonly template: Template
  readonly templateHash: string
  readonly shop: JsonObject
  /** Of the step that made the message. */
  readonly recommendationRules?: ValueRequest['recommendationRules']
  readonly slots?: ValueRequest['slots']
}

export interface DeliverOptions {
  /** Address, or display name and address, of the From header. */
  readonly from: string
  /** The address alone. */
  readonly envelopeFrom: string
  readonly publicUrl: string
  readonly signingKeyId: string
  readonly addressSecret: Uint8Array
  /** How often the age of the data is looked at while it is too old. */
  readonly staleWaitMs: number
}

type Prepared =
  | {
      readonly kind: 'prepared'
      readonly address: string
      readonly message: RenderedMessage
      readonly evidenceHash: string
    }
  | { readonly kind: 'refused'; readonly says: string }
  /** Something of ours broke before anything was handed over: the message is tried again later. */
  | { readonly kind: 'broken'; readonly says: string }

/** `soft` asks to begin nothing more; `hard` to end what is under way. */
export interface StopSignals {
  readonly soft: AbortSignal
  readonly hard: AbortSignal
}

/**
 * `stale`: the data is older than the bound; nothing was claimed, and it is worth trying later.
 * `lapsed`: the same, and the message has lapsed meanwhile: the fold has to be told once it goes
 * on.
 */
export type AttemptEnd = 'ended' | 'stale' | 'lapsed'

/** Makes one attempt. Resolves when its result is in the log, or when there is nothing to do. */
export async function deliverMessage(
  deps: DeliverDeps,
  options: DeliverOptions,
  messageId: string,
  { soft, hard }: StopSignals,
): Promise<AttemptEnd> {
  const message = await findMessage(deps.place, messageId)
  if (message?.state.kind !== 'due') return 'ended'
  if (!(await waitUntilFresh(deps, options, message, soft))) {
    return deps.clock.nowMs() > message.notAfterMs ? 'lapsed' : 'stale'
  }
  if (soft.aborted) return 'ended'
  const attempt = message.state.attempt + 1
  if (!(await deps.claim(message, attempt))) return 'ended'
  const isFresh = await waitUntilFresh(deps, options, message, hard)
  const result = { messageId, attempt }
  // The fold judged by its own time, which stood still where the partition did.
  if (deps.clock.nowMs() > message.notAfterMs) {
    const says = 'the message lapsed before it could be handed over'
    await deps.report(message, { ...result, result: 'refused', reason: 'expired', says })
    return 'ended'
  }
  if (!isFresh) {
    const says = 'the data was older than the bound of the message'
    await deps.report(message, { ...result, result: 'deferred', says })
    return 'ended'
  }
  const prepared = await prepareMessage(deps, options, message, attempt).catch(giveBack)
  if (prepared.kind !== 'prepared') {
    const kind = prepared.kind === 'refused' ? 'failed' : 'deferred'
    await deps.report(message, { ...result, result: kind, says: prepared.says })
    return 'ended'
  }
  const { evidenceHash } = prepared
  const answer = await checkAndHandOver(deps, options, { message, attempt, prepared }, hard)
  await deps.report(message, { ...result, ...answer, evidenceHash })
  return 'ended'
}

/**
 * Without it a grant whose preparation broke would stay granted until the next owner. What is too
 * large to be kept will be so the next time, too.
 */
function giveBack(error: unknown): Prepared {
  const isTooLarge = error instanceof OperatingError && error.code === 'BLOB_TOO_LARGE'
  const says = error instanceof Error ? error.message : String(error)
  return { kind: isTooLarge ? 'refused' : 'broken', says }
}

/**
 * Waits a little while the state that the attempt shows, or trusts to tell who must not be written
 * to, may be too old. Answers false where it still is: a stopped partition must not hold up others.
 */
async function waitUntilFresh(
  deps: DeliverDeps,
  options: DeliverOptions,
  message: Message,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await findPerson(deps.place, message.personKey)
  if (found === undefined) return true
  const partitions = partitionsRead(deps, options, found)
  const overMs = (partition: number): number => deps.ageMs(partition) - message.freshWithinMs
  for (let look = 0; ; look++) {
    const oldestMs = Math.max(...partitions.map(overMs))
    if (oldestMs <= 0) return true
    const isFarOff = oldestMs > options.staleWaitMs * staleLookCountMax
    if (isFarOff || look === staleLookCountMax || signal.aborted) return false
    await deps.clock.sleep(options.staleWaitMs, signal)
  }
}

/**
 * Returns the partitions that what an attempt reads is of: those of the person, and that of the
 * address, since a store that lost its newest commits has lost suppressions too.
 */
function partitionsRead(
  { place }: DeliverDeps,
  options: DeliverOptions,
  found: FoundPerson | undefined,
): readonly number[] {
  if (found === undefined) return partitionsBehind(place, undefined, [])
  const { person, traits, inForce } = found
  const parsed = parseAddress(currentTraits(person, traits, inForce)['email']?.[0])
  const isAddress = parsed.kind === 'address'
  const keys = isAddress ? [addressKeyOf(options.addressSecret, parsed.address)] : []
  return partitionsBehind(place, found, keys)
}

async function prepareMessage(
  deps: DeliverDeps,
  options: DeliverOptions,
  message: Message,
  attempt: number,
): Promise<Prepared> {
  const found = await findPerson(deps.place, message.personKey)
  if (await hasLostCommits(deps, partitionsRead(deps, options, found))) {
    return { kind: 'broken', says: lossSays }
  }
  const prepared = await deps.templateOf(message)
  if (prepared === undefined) return { kind: 'refused', says: `no template ${message.template}` }
  if (found === undefined) return { kind: 'refused', says: 'the profile is gone' }
  const { traits } = viewPerson(found.person, found.traits, found.inForce)
  const parsed = parseAddress(textTrait(traits, 'email'))
  if (parsed.kind === 'refused') return { kind: 'refused', says: 'no usable email address' }
  const nowMs = deps.clock.nowMs()
  const event = await deps.triggerEventOf(found.partition, message)
  const built = await buildValues(deps, {
    found,
    nowMs,
    recommendationCount: message.recommendationCount,
    recommendationRules: prepared.recommendationRules,
    slots: prepared.slots,
    campaign: message.campaign,
    shop: prepared.shop,
    publicUrl: options.publicUrl,
    ...(event === undefined ? {} : { event }),
  })
  const input: RenderInput = {
    rendererVersion,
    template: prepared.template,
    values: built.values,
    message: {
      messageId: message.messageId,
      from: options.from,
      to: parsed.address,
      dateMs: Math.floor(nowMs / 1000) * 1000,
      publicUrl: options.publicUrl,
      signingKeyId: options.signingKeyId,
      topic: message.topic,
    },
  }
  const answer = await deps.renderer.render(input)
  if (answer.kind === 'refused') {
    return { kind: 'refused', says: `render: ${answer.reason}: ${answer.says}` }
  }
  const evidenceHash = await storeEvidence(deps, {
    message,
    attempt,
    found,
    input,
    templateHash: prepared.templateHash,
    built,
    rendered: answer.message,
    nowMs,
  })
  return { kind: 'prepared', address: parsed.address, message: answer.message, evidenceHash }
}

interface Attempt {
  readonly message: Message
  readonly attempt: number
  readonly found: FoundPerson
  readonly input: RenderInput
  readonly templateHash: string
  readonly built: BuiltValues
  readonly rendered: RenderedMessage
  readonly nowMs: number
}

async function storeEvidence(deps: DeliverDeps, made: Attempt): Promise<string> {
  const { message, attempt, found, built, rendered } = made
  const { template: _stored, ...input } = made.input
  const rawHash = sha256Hex(rendered.raw)
  const evidence = encodeEvidence({
    format: evidenceFormat,
    messageId: message.messageId,
    attempt,
    input,
    templateHash: made.templateHash,
    rawHash,
    subject: rendered.subject,
    links: rendered.links,
    decision: {
      campaign: message.campaign,
      step: message.step,
      trigger: message.trigger,
      definitionsHash: message.definitionsHash,
      profileKey: found.person.key,
      profileVersion: found.person.version,
      profileAgeMs: Math.max(0, Math.round(deps.ageMs(found.partition))),
      freshWithinMs: message.freshWithinMs,
      segments: built.view.memberships,
      ...recommendedIn(built),
      renderedAtMs: made.nowMs,
    },
  })
  // Together, so that a message costs one sync of the disk at most.
  const [, hash = ''] = await deps.blobs.put([rendered.raw, evidence])
  return hash
}

/** What was recommended, and why, with the version of each item that was shown. */
function recommendedIn({
  filled,
}: BuiltValues): Pick<Evidence['decision'], 'recommendations' | 'learnedCount'> {
  const recommendations = filled.flatMap(({ name, items }, index) =>
    items.map(({ advised, item }) => ({
      ...advised,
      ...(index === 0 ? {} : { slot: name }),
      itemUpdatedAtMs: item.updatedAtMs,
      ...(item.version === undefined ? {} : { itemVersion: item.version }),
    })),
  )
  const learnedCount = filled.reduce((most, slot) => Math.max(most, slot.learnedCount), 0)
  return { recommendations, learnedCount }
}

async function checkAndHandOver(
  deps: DeliverDeps,
  options: DeliverOptions,
  made: {
    readonly message: Message
    readonly attempt: number
    readonly prepared: Extract<Prepared, { kind: 'prepared' }>
  },
  signal: AbortSignal,
): Promise<Omit<ResultSkeleton, 'messageId' | 'attempt'>> {
  const { message, attempt, prepared } = made
  const key = addressKeyOf(options.addressSecret, prepared.address)
  await deps.pace(signal)
  // The mailer may wait for a connection for long: only what is read behind that counts.
  const checks: Check[] = []
  const mayBegin = async (): Promise<boolean> => {
    const check = await checkMessage(deps, message, key)
    checks.push(check)
    return check.refusal === undefined
  }
  const handOver = await deps.mailer.handOver(
    {
      messageId: message.messageId,
      attempt,
      envelopeFrom: options.envelopeFrom,
      envelopeTo: prepared.address,
      raw: prepared.message.raw,
      mayBegin,
    },
    signal,
  )
  const { refusal, ...checkedAt } = checks.at(-1) ?? {}
  const answer = { result: handOver.kind, says: handOver.response.slice(0, 500) }
  return { ...(refusal ?? answer), ...checkedAt }
}
