/** All partitions under one owner on memory adapters, with the definitions that its tests bring. */

import assert from 'node:assert/strict'
import type { Message } from '../campaign/message.ts'
import type { Event } from '../event/event.ts'
import { systemClock } from '../lib/clock.ts'
import { murmur3, sha256Bytes } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { silentLogger } from '../lib/logger.ts'
import { createSeededRandom, type Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord, partitionOf, type RecordKind } from '../log/record.ts'
import {
  computedKey,
  decodeInForce,
  type PropertyInForce,
  type TraitInForce,
} from '../profile/computed/computed-trait.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import { decodePerson, type Person } from '../profile/person.ts'
import type { Activity } from '../profile/person-view.ts'
import { viewPerson } from '../profile/view-person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { appendContinue } from './continuer.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  type DefinitionsDocument,
  emptyDocument,
} from './definitions.ts'
import { copyFillBase, type FillBaseWish } from './fill-start.ts'
import { Filler } from './filler.ts'
import { Forwarder } from './forwarder.ts'
import { decodeJson } from './meta.ts'
import type { Owned } from './ownership.ts'
import { PartitionFold } from './partition-fold.ts'
import { outboxPrefix } from './scope.ts'

const startMs = 1_800_000_000_000
export const partitionCount = 4
export const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)

const views: JsonObject = { kind: 'count', event: 'Product Viewed' }
const traits = [
  { name: 'views', content: views },
  { name: 'views_lately', content: { ...views, within: '2h' } },
  { name: 'spent', content: { kind: 'sum', event: 'Order Completed', of: '$value' } },
  { name: 'in_session', content: { ...views, within: 'session' } },
]
const segments = [{ name: 'keen', content: { trait: 'views', atLeast: 5 } }]
const template = { name: 'mail', html: '', subject: '', text: null }
const campaign = { name: 'offer', steps: [{ send: { template: 'mail', topic: 'news' } }] }
const campaigns = [{ ...campaign, trigger: { segment: 'keen' } }]
const identity: JsonObject = { kinds: [{ name: 'crm', from: ['traits.crmId'], joinsUsers: true }] }
const withIdentity: DefinitionsDocument = { ...emptyDocument, identity }
const viewed: JsonObject = { event: 'Product Viewed' }
const red: JsonObject = { ...viewed, where: { properties: { colour: { is: 'red' } } } }
export const colours = ['red', 'blue', 'green'] as const
const documents: Readonly<Record<string, DefinitionsDocument>> = {
  nothing: withIdentity,
  traits: { ...withIdentity, traits, segments, campaigns, templates: { mail: template } },
  viewers: {
    ...withIdentity,
    segments: [{ name: 'viewers', content: { event: 'Product Viewed', count: { atLeast: 3 } } }],
    campaigns: [{ ...campaign, trigger: { segment: 'viewers' } }],
    templates: { mail: template },
  },
  opened: {
    ...withIdentity,
    traits: [{ name: 'opened', content: { kind: 'count', event: 'Email Opened' } }],
  },
  shades: {
    ...withIdentity,
    segments: [
      { name: 'reds', content: { ...red, count: { atLeast: 2 }, within: '2h' } },
      { name: 'loyal', content: { sequence: [viewed, viewed], same: 'colour', within: '30d' } },
      { name: 'strangers', content: { not: { segment: 'loyal' } } },
    ],
    campaigns: [{ ...campaign, trigger: { segment: 'reds' } }],
    templates: { mail: template },
  },
  other: { ...withIdentity, traits: [{ name: 'views', content: { ...views, within: '1h' } }] },
}

function recordOf({ fold: { partition, scope, cursor } }: Owned): NewRecord {
  return {
    ...{ partition, key: `control:${partition}`, kind: 'continue', skeleton: null },
    id: sha256Bytes(`continue ${partition} ${cursor}`, 16),
    ...{ recordedAtMs: scope.meta.foldMs, isBackfill: false, keyId: 0, body: emptyBody },
  }
}

function compiled(hash: string): CompiledDefinitions {
  const answer = compileDefinitions(documents[hash] ?? emptyDocument, hash)
  assert.equal(answer.kind, 'compiled', JSON.stringify(answer))
  return answer.definitions
}

/** All partitions under one owner, driven step by step; the owner may die between any two. */
export class Cluster {
  readonly log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount } })
  readonly state = createMemoryStateStore()
  nowMs = startMs
  /** A partition that does not fold for a while. */
  asleep = -1
  owneds: Owned[] = []
  /** As their producer sent them, each at an instant of its own. */
  readonly events = new Map<number, Event>()
  readonly #bases: MemoryStateStore[] = []
  #forwarder = new Forwarder(this.log)
  #filler: Filler
  #epoch = 0
  #made = 0

  constructor() {
    this.#filler = this.#createFiller()
  }

  #createFiller(): Filler {
    const deps = {
      ...{ log: bringsLate(this.log, createSeededRandom(this.#epoch)), state: this.state },
      definitionsOf: async (hash: string) => compiled(hash),
      clock: { ...systemClock, nowMs: () => this.nowMs },
      random: createSeededRandom(this.#epoch + 1),
      logger: silentLogger,
      openScratch: createMemoryStateStore,
      openFillBase: async (wish: FillBaseWish) => await this.#openBase(wish),
    }
    // Few people in a record, so that there are several.
    return new Filler(deps, 'default', 4)
  }

  /** Keeps the state as it is committed, where nothing is on its way. */
  async keepBase(): Promise<void> {
    const state = createMemoryStateStore()
    const owner = { epoch: 1, nonce: 'base' }
    for (const partition of partitions) {
      await state.acquire(partition, owner.epoch, owner.nonce)
      await copyFillBase(this.state, { state, partition, owner }, () => true)
    }
    this.#bases.push(state)
  }

  async #openBase({ partition, fromOffset, untilOffset }: FillBaseWish) {
    for (const state of this.#bases) {
      const { offset } = await state.head(partition)
      if (offset < fromOffset || offset >= untilOffset) continue
      return { state, close: async () => {} }
    }
    return undefined
  }

  /** Trims each log behind what is committed now, less so many records. */
  async trim(keptCount = 0): Promise<void> {
    for (const partition of partitions) {
      const { offset } = await this.state.head(partition)
      this.log.trim(partition, Math.max(0, offset - 1 - keptCount))
    }
  }

  /** The owner starts, or dies with what it has not committed, and another starts. */
  async start(): Promise<void> {
    this.#epoch++
    this.#forwarder = new Forwarder(this.log)
    this.#filler = this.#createFiller()
    this.owneds = []
    for (const partition of partitions) {
      const nonce = `n${this.#epoch}`
      await this.state.acquire(partition, this.#epoch, nonce)
      const fold = this.createFold(partition)
      await fold.open(await this.state.head(partition))
      await this.#forwarder.open(this.state, partition)
      const said = { epoch: this.#epoch, nonce }
      await this.append('owner', `control:${partition}`, said, { partition })
      const known = { isAnnounced: true, isOwner: true, tickedAtMs: 0, isStopKnown: false }
      this.owneds.push({ fold, epoch: this.#epoch, nonce, ...known })
    }
  }

  createFold(partition: number, state = this.state): PartitionFold {
    const deps = { log: this.log, state, definitionsOf: async (hash: string) => compiled(hash) }
    return new PartitionFold(deps, { workspace: 'default', partitionCount, partition })
  }

  async append(
    kind: RecordKind,
    key: string,
    skeleton: unknown,
    given: Partial<NewRecord> = {},
  ): Promise<void> {
    const id = sha256Bytes(`${kind} ${key} ${this.#made++}`, 16)
    const partition = partitionOf('default', key, partitionCount)
    const head = { partition, key, kind, id, recordedAtMs: this.nowMs, isBackfill: false, keyId: 0 }
    await this.log.append([{ ...head, skeleton, body: emptyBody, ...given }])
  }

  async apply(hash: string): Promise<void> {
    await this.append('apply', 'control:0', { version: 0, hash }, { partition: 0 })
  }

  async event(
    name: string,
    ids: Pick<Event, 'userId' | 'anonymousId' | 'previousId' | 'traits'>,
  ): Promise<void> {
    const type = name === 'alias' ? 'alias' : 'track'
    const colour = colours[murmur3(`colour ${this.#made}`) % colours.length] ?? ''
    const event: Event = {
      ...{ eventId: `e${this.#made}`, sourceId: 'web', type, name, ...ids },
      ...{ occurredAtMs: this.nowMs, receivedAtMs: this.nowMs },
      properties: name === 'Order Completed' ? { total: 10 } : { product_id: 'p', colour },
    }
    const key = ids.userId === undefined ? `anonymous:${ids.anonymousId}` : `user:${ids.userId}`
    const body = Buffer.from(JSON.stringify(event))
    await this.append('event', key, { name }, { body })
    this.events.set(event.occurredAtMs, event)
    this.nowMs++
  }

  /** Folds some records of each partition; answers whether there is nothing left to do. */
  async step(random: Random): Promise<boolean> {
    let isDone = true
    for (const owned of this.owneds) {
      const { fold } = owned
      if (fold.partition === this.asleep) {
        isDone = false
        continue
      }
      const records = await this.log.read(fold.partition, fold.cursor, 1 + random.unit() * 8)
      if (records.length > 0) isDone = false
      await fold.fold(records, () => false)
      if (fold.hasChanges()) await this.#commit(owned)
      if (fold.isAwaitingWord) await this.#tick(owned)
    }
    if (random.unit() < 0.7) await this.#forwarder.run()
    const isPending = partitions.some((each) => this.#forwarder.pendingCount(each) > 0)
    const isFilling = random.unit() < 0.6 ? await this.#filler.step(this.owneds, 0) : true
    const given = { peopleCountMax: 3, isBusy: false }
    const isEvaluating = await appendContinue({ log: this.log, recordOf }, this.owneds, given)
    return isDone && !isPending && !isFilling && !isEvaluating
  }

  async #tick({ fold: { partition }, epoch, nonce }: Owned): Promise<void> {
    await this.append('tick', `control:${partition}`, { epoch, nonce }, { partition })
  }

  async #commit({ fold, epoch, nonce }: Owned): Promise<void> {
    const { commit } = fold.takeCommit({ epoch, nonce }, 'test')
    assert.deepEqual(await this.state.commit([commit]), ['committed'])
    fold.committed(commit)
    for (const { key, value } of commit.changes) {
      const isSent = value !== undefined && key.startsWith(outboxPrefix)
      if (isSent) this.#forwarder.add(commit.partition, key, value)
    }
  }

  async settle(random: Random, beforeEach?: () => void): Promise<void> {
    // What one step has forwarded, the next one folds.
    for (let step = 0, restCount = 0; step < 3000; step++) {
      beforeEach?.()
      restCount = (await this.step(random)) ? restCount + 1 : 0
      if (restCount === 3) return
    }
    assert.fail('the cluster comes to rest')
  }

  async people(): Promise<readonly Person[]> {
    const pages = await Promise.all(
      partitions.map((partition) => this.state.scan(partition, 'person/', '', 1000)),
    )
    return pages.flat().map(({ value }) => decodePerson(value))
  }

  async messages(partition: number): Promise<readonly Message[]> {
    const entries = await this.state.scan(partition, 'message/', '', 1000)
    return entries.map(({ value }) => decodeJson<Message>(value))
  }

  async inForce(partition = 0): Promise<readonly TraitInForce[]> {
    const [bytes] = await this.state.get(partition, [computedKey])
    return decodeInForce(bytes).traits
  }

  async propertiesInForce(partition: number): Promise<readonly PropertyInForce[]> {
    const [bytes] = await this.state.get(partition, [computedKey])
    return decodeInForce(bytes).properties ?? []
  }

  foldMsOf(key: string): number {
    const partition = partitionOf('default', key, partitionCount)
    return this.owneds[partition]?.fold.scope.meta.foldMs ?? 0
  }
}

/** A log elsewhere has not always brought yet what is there: a page may be short, or empty. */
function bringsLate(log: EventLog, random: Random): EventLog {
  return {
    ...log,
    async read(partition, after, countMax) {
      const page = await log.read(partition, after, countMax)
      return random.unit() < 0.3 ? page.slice(0, Math.floor(random.unit() * page.length)) : page
    },
  }
}

/** Checks each person's traits with totals and activity, which other code keeps. */
export async function checkValues(cluster: Cluster, says = ''): Promise<void> {
  const readyTraits = (await cluster.inForce()).map((each) => ({ ...each, readyAtMs: 1 }))
  for (const person of await cluster.people()) {
    if (person.pointer !== undefined) continue
    const { totals, activity } = viewPerson(person, {})
    const answers = viewComputed(person.parts, { version: 9, traits: readyTraits })
    const shown = Object.fromEntries(
      answers.answersAt(cluster.nowMs).map(({ trait, value }) => [trait.name, value]),
    )
    const viewed = activity.filter(({ name }) => name === 'Product Viewed')
    const viewsSince = (fromMs: number) =>
      viewed.filter(({ occurredAtMs }) => occurredAtMs >= fromMs).length
    assert.deepEqual(
      shown,
      {
        views: totals['Product Viewed']?.count ?? 0,
        views_lately: viewed.filter(
          ({ occurredAtMs }) => cluster.nowMs - occurredAtMs < 2 * 3_600_000,
        ).length,
        spent: totals['Order Completed']?.valueSum ?? 0,
        in_session: viewsSince(sessionStartOf(activity, cluster.nowMs)),
      },
      `${person.key} ${says}`,
    )
  }
}

/** When the session that goes on at `nowMs` began; Infinity where none does. */
function sessionStartOf(activity: readonly Activity[], nowMs: number): number {
  let fromMs = nowMs
  let startMs = Infinity
  for (const { name, occurredAtMs } of activity.toReversed()) {
    // What came of an email is no visit.
    if (name.startsWith('Email ')) continue
    if (fromMs - occurredAtMs >= 30 * 60_000) break
    fromMs = occurredAtMs
    startMs = occurredAtMs
  }
  return startMs
}

/** Folds each partition again from its log, and compares the states. */
export async function checkRebuild(cluster: Cluster): Promise<void> {
  for (const partition of partitions) {
    const state = createMemoryStateStore()
    await state.acquire(partition, 1, 'rebuild')
    const fold = cluster.createFold(partition, state)
    await fold.open(await state.head(partition))
    for (;;) {
      const records = await cluster.log.read(partition, fold.cursor, 50)
      if (records.length === 0) break
      await fold.fold(records, () => false)
      const { commit } = fold.takeCommit({ epoch: 1, nonce: 'rebuild' }, 'test')
      await state.commit([commit])
      fold.committed(commit)
    }
    const before = await hashPartition(cluster.state, partition)
    assert.equal(await hashPartition(state, partition), before, `partition ${partition}`)
  }
}
