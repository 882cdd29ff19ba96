/**
 * The world outside: 50 people with devices, histories and bad habits of their trackers; a shop
 * whose prices move; an API that writes suppressions and outcomes; an operator who changes the
 * definitions and skips what cannot be folded. All of it from one seed, in virtual time.
 */

import type { OutcomeKind, OutcomeSkeleton } from '../../src/campaign/message.ts'
import { partitionOfMessage } from '../../src/campaign/message.ts'
import { type Collector, createCollector } from '../../src/collect/collect-batch.ts'
import { defaultCollectorOptions } from '../../src/collect/collect-options.ts'
import type { CollectCall } from '../../src/collect/read-request.ts'
import { createSourceDirectory } from '../../src/collect/source-directory.ts'
import type { HandOverRequest } from '../../src/delivery/mailer.ts'
import { addressKeyOf, type SuppressSkeleton } from '../../src/delivery/suppression.ts'
import { OperatingError } from '../../src/lib/errors.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { Random } from '../../src/lib/random.ts'
import type { EventLog, Place } from '../../src/log/event-log.ts'
import { emptyBody, type NewRecord, partitionOf } from '../../src/log/record.ts'
import { encodeDocument } from '../../src/process/definitions.ts'
import type { BlobStore } from '../../src/state/blob-store.ts'
import type { Template } from '../../src/template/template.ts'
import type { DrawnWorld } from './drawn-world.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { Observer } from './observer.ts'
import { groupVisits, type PlannedCall, planPeople } from './people.ts'
import type { Timeline } from './virtual-clock.ts'
import * as fixed from './world-definitions.ts'
import { worldDocuments } from './world-documents.ts'

const { dayMs, hourMs, minuteMs, secondMs, workspace, partitionCount } = fixed
const retryMsMax = minuteMs
const itemCount = 20
const provokedShare = 0.06
/** People whose trackers wait for the end of a visit, where there are any. */
const patientShare = 0.8
const splitMsMax = 4 * dayMs
const joinAgainShare = 0.3

export interface WorldDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly random: Random
  readonly log: EventLog
  readonly rejected: EventLog
  readonly blobs: BlobStore
  readonly template: Template
  readonly eventCountMin: number
  readonly drawn: DrawnWorld
}

/** One event as it was sent, and what the collector said. */
export interface SentEvent {
  readonly call: PlannedCall
  answer: 'none' | 'accepted' | 'rejected'
}

/** What a reader's reaction follows. */
type Received = Pick<HandOverRequest, 'messageId' | 'envelopeTo'>

export class World {
  readonly sent: SentEvent[] = []
  readonly skipped: Place[] = []
  readonly counts = { accepted: 0, rejected: 0 }
  /** Rejected events of requests that were sent again since their good ones had no answer. */
  keptAgainCount = 0
  splitCount = 0
  /** Actors that have not come to their end. */
  activeCount = 0
  readonly #deps: WorldDeps
  readonly #collector: Collector
  #reactionsEndMs = fixed.startMs + fixed.lengthMs

  constructor(deps: WorldDeps) {
    this.#deps = deps
    const { timeline, random, rejected } = deps
    const source = { sourceId: 'web', writeKeys: ['web-write-key'] }
    this.#collector = createCollector(
      {
        log: this.#faultyLog(),
        rejected,
        clock: {
          nowMs: () => Math.floor(timeline.nowMs),
          monotonicMs: () => timeline.nowMs,
          sleep: async () => {},
        },
        random,
        sources: createSourceDirectory([{ source }]),
        metrics: {
          accepted: (_, count) => {
            this.counts.accepted += count
          },
          rejected: (_, __, count) => {
            this.counts.rejected += count
          },
        },
      },
      defaultCollectorOptions,
    )
  }

  start(): void {
    const { random, template, eventCountMin, drawn } = this.#deps
    for (const calls of planPeople(random, eventCountMin, drawn.features)) {
      this.#act(() => this.#livePerson(calls))
    }
    this.#act(() => this.#keepShop())
    if (drawn.features.has('keys taken out')) this.#act(() => this.#mendPeople())
    const [first, second] = worldDocuments(template, drawn)
    if (first !== undefined) this.#act(() => this.#apply(encodeDocument(first), 0))
    const changeMs = fixed.lengthMs * (0.35 + 0.3 * random.unit())
    if (second !== undefined) this.#act(() => this.#apply(encodeDocument(second), changeMs))
  }

  /** Told by the mailbox: a message has arrived at a person. */
  taken(request: Received): void {
    const { timeline, random } = this.#deps
    if (timeline.nowMs > this.#reactionsEndMs) return
    this.#act(async () => {
      await timeline.sleep(minuteMs + 2 * dayMs * random.unit() ** 3)
      const draw = random.unit()
      if (draw < 0.3) await this.#react(request, 'opened')
      if (draw < 0.1) await this.#react(request, 'clicked')
      if (draw > 0.94) await this.#leave(request, 'unsubscribed', 'unsubscribed')
      else if (draw > 0.91) await this.#leave(request, 'bounced', 'bounced')
      else if (draw > 0.9) await this.#leave(request, 'complained', 'complained')
    })
  }

  /** A hostile world: just as a message becomes due or granted, its reader leaves, or buys. */
  provoke(messageId: string): void {
    const { random, observer, timeline } = this.#deps
    const message = observer.messages.get(messageId)
    const index = /(\d+)/.exec(message?.personKey ?? '')?.[1]
    if (message === undefined || index === undefined || random.unit() > provokedShare) return
    const to = `p${index}@mail.example`
    const request = { messageId, envelopeTo: to }
    this.#act(async () => {
      const draw = random.unit()
      if (draw < 0.4) await this.#leave(request, 'complained', 'complained')
      else if (draw < 0.7) await this.#react(request, 'unsubscribed')
      else {
        const [kind, id] = message.personKey.split(':')
        const ids: JsonObject = kind === 'user' ? { userId: id ?? '' } : { anonymousId: id ?? '' }
        const event = draw < 0.85 ? 'Unsubscribed' : 'Order Completed'
        const atMs = timeline.nowMs
        const said = { type: 'track', event, properties: {}, timestamp: Math.floor(atMs) }
        const body = { ...said, ...ids, messageId: `e-provoked${this.sent.length}-0` }
        const rest = { isBackfill: false, isValid: true, isRepeat: false } as const
        await this.#send([{ atMs, body, ...rest, sendAgainAfterMs: undefined }])
      }
    })
  }

  /** Appends a record that no version can fold, and hours later the operator's word to skip it. */
  poison(): void {
    const { timeline, random } = this.#deps
    this.#act(async () => {
      const key = `user:u${Math.floor(random.unit() * fixed.personCount)}`
      const partition = partitionOf(workspace, key, partitionCount)
      const body = Buffer.from('{"eventId":')
      const skeleton = { eventId: 'poison', sourceId: 'web', name: 'poison' }
      const bad = this.#record({ partition, key, kind: 'event', skeleton, body })
      const [place] = await this.#appendUntilTaken([bad])
      if (place === undefined) return
      this.skipped.push(place)
      await timeline.sleep(5 * hourMs * random.unit())
      const skip = { offset: place.offset, reason: 'cannot be read' }
      await this.#appendUntilTaken([
        this.#record({ partition, key: `control:${partition}`, kind: 'skip', skeleton: skip }),
      ])
    })
  }

  #act(run: () => Promise<void>): void {
    this.activeCount++
    void run().finally(() => {
      this.activeCount--
    })
  }

  async #livePerson(calls: readonly PlannedCall[]): Promise<void> {
    const { timeline, random, drawn } = this.#deps
    const isHeld = drawn.features.has('trackers that send a visit at once')
    const isPatient = isHeld && random.unit() < patientShare
    for (const some of isPatient ? groupVisits(calls) : calls.map((call) => [call])) {
      await timeline.sleep((some.at(-1)?.atMs ?? 0) - timeline.nowMs)
      await this.#send(some)
    }
  }

  /** Sends as a tracker does: again and again, until there is an answer. */
  async #send(calls: readonly PlannedCall[]): Promise<void> {
    const { timeline, random } = this.#deps
    const sent = calls.map((call): SentEvent => ({ call, answer: 'none' }))
    this.sent.push(...sent)
    const batch = { batch: calls.map(({ body }) => body) }
    const call: CollectCall = {
      kind: 'batch',
      body: batch,
      bytes: Buffer.from(JSON.stringify(batch)),
      isBackfill: calls[0]?.isBackfill === true,
    }
    for (;;) {
      try {
        const answer = await this.#collector.collect('web', call)
        const results = answer.kind === 'taken' ? answer.results : undefined
        sent.forEach((each, index) => {
          each.answer = results === undefined ? 'rejected' : (results[index]?.status ?? 'none')
        })
        break
      } catch (error) {
        if (!(error instanceof OperatingError) || !error.retryable) throw error
        this.keptAgainCount += calls.filter(({ isValid }) => !isValid).length
        await timeline.sleep(retryMsMax * random.unit())
      }
    }
    for (const call of calls) {
      const { sendAgainAfterMs } = call
      if (sendAgainAfterMs === undefined) continue
      const again: PlannedCall = { ...call, isRepeat: true, sendAgainAfterMs: undefined }
      this.#act(async () => {
        await timeline.sleep(sendAgainAfterMs)
        await this.#send([again])
      })
    }
  }

  /** The log as the collector reaches it: over a network that loses, doubles, delays. */
  #faultyLog(): EventLog {
    const { log, plan, random, timeline, observer } = this.#deps
    const append = async (records: readonly NewRecord[]): Promise<readonly Place[]> => {
      const isPassed = plan.take('event slow, others pass it', timeline.nowMs)
      if (isPassed || random.unit() < 0.02) await timeline.sleep(20 * minuteMs * random.unit())
      else await timeline.sleep(5 * random.unit())
      if (plan.take('event refused', timeline.nowMs) || random.unit() < 0.005) {
        throw new OperatingError('LOG_OVERLOADED', 'append events')
      }
      const places = await log.append(records)
      observer.appended('collect', records, places)
      if (plan.take('event appended twice', timeline.nowMs) || random.unit() < 0.01) {
        observer.appended('collect', records, await log.append(records))
      }
      if (plan.take('event reply lost', timeline.nowMs) || random.unit() < 0.01) {
        throw new OperatingError('LOG_OVERLOADED', 'append events')
      }
      return places
    }
    return { ...log, append }
  }

  async #appendUntilTaken(records: readonly NewRecord[]): Promise<readonly Place[]> {
    const { log, observer, timeline } = this.#deps
    for (;;) {
      try {
        const places = await log.append(records)
        observer.appended('api', records, places)
        return places
      } catch (error) {
        if (!(error instanceof OperatingError) || !error.retryable) throw error
        await timeline.sleep(minuteMs)
      }
    }
  }

  #record(
    given: Pick<NewRecord, 'partition' | 'key' | 'kind' | 'skeleton'> & {
      readonly body?: Uint8Array
    },
  ): NewRecord {
    const { random, timeline } = this.#deps
    return {
      body: emptyBody,
      ...given,
      id: random.bytes(16),
      recordedAtMs: Math.floor(timeline.nowMs),
      isBackfill: false,
      keyId: 0,
    }
  }

  async #apply(document: Uint8Array, afterMs: number): Promise<void> {
    await this.#deps.timeline.sleep(afterMs)
    const [hash = ''] = await this.#deps.blobs.put([document])
    const skeleton = { version: 0, hash }
    await this.#appendUntilTaken([
      this.#record({ partition: 0, key: 'control:0', kind: 'apply', skeleton }),
    ])
  }

  /** Prices and stock move, each item about once a week. */
  async #keepShop(): Promise<void> {
    const { timeline, random, drawn } = this.#deps
    const endMs = fixed.startMs + fixed.lengthMs
    const isMoving = drawn.features.has('prices that move')
    for (let made = 0; timeline.nowMs < endMs && (isMoving || made < itemCount); made++) {
      const index = made < itemCount ? made : Math.floor(random.unit() * itemCount)
      const itemId = `i${index}`
      const item: JsonObject = {
        itemId,
        name: `Item ${index}`,
        price: 5 + Math.floor(random.unit() * 9000) / 100,
        stockCount: random.unit() < 0.15 ? 0 : 7,
        updatedAtMs: Math.floor(timeline.nowMs),
      }
      const key = `item:${itemId}`
      const partition = partitionOf(workspace, key, partitionCount)
      const body = Buffer.from(JSON.stringify(item))
      await this.#appendUntilTaken([
        this.#record({ partition, key, kind: 'item', skeleton: { itemId }, body }),
      ])
      await timeline.sleep(made < itemCount ? secondMs : 16 * hourMs * random.unit())
    }
  }

  /** An operator takes keys out whom they take for wrongly merged, and joins some again. */
  async #mendPeople(): Promise<void> {
    const { timeline, random, observer } = this.#deps
    const endMs = fixed.startMs + fixed.lengthMs
    while (timeline.nowMs < endMs) {
      await timeline.sleep(splitMsMax * random.unit())
      const joined = observer.joinedKeys()
      const key = joined[Math.floor(random.unit() * joined.length)]
      if (key === undefined) continue
      const partition = partitionOf(workspace, key, partitionCount)
      const otherKey = observer.leadingKey(key)
      await this.#appendUntilTaken([
        this.#record({ partition, key, kind: 'identity-split', skeleton: {} }),
      ])
      this.splitCount++
      if (random.unit() > joinAgainShare) continue
      await timeline.sleep(hourMs * random.unit() ** 3)
      await this.#appendUntilTaken([
        this.#record({ partition, key, kind: 'identity-join', skeleton: { otherKey } }),
      ])
    }
  }

  async #react(request: Received, outcome: OutcomeKind): Promise<void> {
    const { observer, timeline } = this.#deps
    const { messageId } = request
    const message = observer.messages.get(messageId)
    if (message === undefined) return
    const skeleton: OutcomeSkeleton = { messageId, outcome, atMs: Math.floor(timeline.nowMs) }
    const partition = partitionOfMessage(messageId) ?? 0
    await this.#appendUntilTaken([
      this.#record({ partition, key: message.personKey, kind: 'outcome', skeleton }),
    ])
  }

  /** The API writes the suppression of the address and the outcome, in this order. */
  async #leave(
    request: Received,
    outcome: OutcomeKind,
    reason: SuppressSkeleton['reason'],
  ): Promise<void> {
    const { observer, timeline } = this.#deps
    const key = addressKeyOf(fixed.addressSecret, request.envelopeTo)
    const partition = partitionOf(workspace, key, partitionCount)
    const own = observer.messages.get(request.messageId)?.topic ?? '*'
    const topic = outcome === 'unsubscribed' ? own : '*'
    const skeleton: SuppressSkeleton = {
      topic,
      reason,
      atMs: Math.floor(timeline.nowMs),
      isLifted: false,
    }
    await this.#appendUntilTaken([this.#record({ partition, key, kind: 'suppress', skeleton })])
    await this.#react(request, outcome)
  }
}
