/**
 * A small world for tests: the real fold and delivery over stores in memory, with the API before
 * them.
 */

import { deepStrictEqual } from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import type { Message } from '../campaign/message.ts'
import type { Collector } from '../collect/collect-batch.ts'
import type { HandOverRequest, Mailer } from '../delivery/mailer.ts'
import { findMessage, findPerson } from '../delivery/read-state.ts'
import { type Event, type EventSkeleton, personKeyOf } from '../event/event.ts'
import { systemClock } from '../lib/clock.ts'
import { sha256Bytes, sha256Hex } from '../lib/hash.ts'
import { silentLogger } from '../lib/logger.ts'
import { createMetrics } from '../lib/metrics.ts'
import { createSeededRandom } from '../lib/random.ts'
import type { Place } from '../log/event-log.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { type NewRecord, partitionOf } from '../log/record.ts'
import { type DefinitionFiles, parseDefinitionFiles } from '../process/definition-files.ts'
import { encodeDocument } from '../process/definitions.ts'
import { createFreshness, createFreshnessBuffer } from '../process/freshness.ts'
import { processorDefaults } from '../process/processor-options.ts'
import { runWorker, type WorkerOptions } from '../process/worker.ts'
import { type AdviceRequest, type Advisor, createAdvisor } from '../recommend/advisor.ts'
import { createBlend } from '../recommend/blend.ts'
import { createMemoryBlobStore } from '../state/memory-blob-store.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import type { SigningKeys } from '../template/links.ts'
import { createInlineRenderer } from '../template/render-pool.ts'
import type { ApiDeps, Health } from './api-deps.ts'
import type { ApiKey, Scope } from './api-keys.ts'
import { type ApiOptions, apiDefaults } from './api-options.ts'
import { createCollecting } from './collecting.fixture.ts'
import { createApi } from './create-api.ts'

export const workspace = 'default'
export const partitionCount = 4
export const signingKeys: SigningKeys = {
  currentId: 'k1',
  keys: new Map([['k1', new Uint8Array(32).fill(7)]]),
}

const files: DefinitionFiles = new Map([
  ['shop.yaml', 'name: Test Shop\ncurrency: EUR\nurl: https://shop.example/\n'],
  ['segments/buyers.yaml', 'name: buyers\nrule: {event: Order Completed, count: {atLeast: 1}}\n'],
  [
    'campaigns/thanks.yaml',
    `name: thanks
kind: triggered
trigger: {event: Order Completed}
steps:
  - send:
      {template: thanks, topic: orders, freshWithin: 60s, notAfter: 1d, recommendations: {count: 2}}
`,
  ],
  ['templates/thanks/subject.liquid', 'Thank you, {{ profile.traits.name }}'],
  [
    'templates/thanks/template.mjml',
    `<mjml><mj-body><mj-section><mj-column>
<mj-text>Version {{ profile.version }}. {{ event.properties.order_id }}
<a href="https://shop.example/order?id={{ event.properties.order_id }}&amp;x=1">Your order</a>
{% for item in profile.last_order %}
<a href="{{ item.url }}">{{ item.name }} {{ item.price }}</a>{% endfor %}
<a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>
`,
  ],
])

const addressSecret = new Uint8Array(32).fill(9)
const publicUrl = 'https://mail.shop.example'
const from = 'Test Shop <hello@shop.example>'
const fixedDeps = { clock: systemClock, logger: silentLogger, openScratch: createMemoryStateStore }
const workerOptions: WorkerOptions = {
  processor: { ...processorDefaults, idleMs: 5 },
  delivery: {
    from,
    envelopeFrom: 'hello@shop.example',
    publicUrl,
    signingKeyId: signingKeys.currentId,
    addressSecret,
    staleWaitMs: 5,
    attemptCountMax: 8,
    queueCountMax: 100,
  },
}

export interface World {
  /** Takes events of the source `web`. */
  readonly collector: Collector
  readonly deps: ApiDeps
  readonly app: FastifyInstance
  readonly log: MemoryEventLog
  readonly rejected: MemoryEventLog
  /** What the provider took. */
  readonly handedOver: readonly HandOverRequest[]
  /** Authorization headers by scope. */
  readonly keys: Readonly<Record<Scope, { readonly authorization: string }>>
  /** Replaces what `health` answers. */
  health: Health
  append(records: readonly NewRecord[]): Promise<readonly Place[]>
  /** Appends events of one person, in order, and waits until they are folded. */
  happen(events: readonly GivenEvent[]): Promise<void>
  /** Resolves when all that was appended before is folded. */
  settle(): Promise<void>
  /** Waits for a message of the person to be accepted by the provider, and returns it. */
  acceptedMessage(personKey: string): Promise<Message>
}

export type GivenEvent = Pick<Event, 'type' | 'name'> & Partial<Event>

/** Opens a world with definitions in force and, if not told otherwise, four items. */
export async function openWorld(
  t: TestContext,
  given: {
    readonly options?: Partial<ApiOptions>
    readonly deps?: Partial<ApiDeps>
    readonly files?: DefinitionFiles
    readonly itemIds?: readonly string[]
    /** What delivery asks, and the API where `deps` has nothing else. */
    readonly advise?: ApiDeps['advise']
  } = {},
): Promise<World> {
  const identity = { incarnation: 'test', partitionCount }
  const log = createMemoryEventLog({ identity })
  const rejected = createMemoryEventLog({ identity })
  const state = createMemoryStateStore()
  const blobs = createMemoryBlobStore()
  const random = createSeededRandom(7)
  const renderer = createInlineRenderer(signingKeys)
  const advisor = askOf(createAdvisor(createBlend()), given.advise)
  const handedOver: HandOverRequest[] = []
  const mailer = createKeepingMailer(handedOver)
  const commits = createCommits()
  const { keys, apiKeys } = createKeys()
  const place = { state, workspace, partitionCount }
  const stop = new AbortController()
  const { collector, workList } = createCollecting({ log, rejected, clock: systemClock, random })
  const freshness = createFreshness(createFreshnessBuffer(partitionCount))
  const base = { ...fixedDeps, log, blobs, random, freshness }
  const worker = runWorker(
    { ...base, state, renderer, mailer, advisor, onCommitted: commits.add },
    workerOptions,
    stop.signal,
  )
  const deps: ApiDeps = {
    ...base,
    place,
    rejected,
    workList,
    metrics: createMetrics(),
    apiKeys,
    signingKeys,
    addressSecret,
    publicUrl,
    from,
    advise: advisor.advise,
    indexState: advisor.indexState,
    render: (input) => renderer.render(input),
    waitCommitted: commits.wait,
    health: () => Promise.resolve(world.health),
    ...given.deps,
  }
  const app = createApi(deps, { ...apiDefaults, streamPauseMs: 1, ...given.options })
  t.after(async () => {
    await app.close()
    stop.abort()
    await worker
  })
  const settle = async (): Promise<void> => {
    const sinceMs = systemClock.nowMs() + 1
    await until(() => everyPartition().every((one) => freshness.confirmedAtMs(one) >= sinceMs))
  }
  const world: World = {
    collector,
    deps,
    app,
    log,
    rejected,
    handedOver,
    keys,
    settle,
    health: {
      unready: [],
      partitions: { owned: partitionCount, stopped: [] },
      lagCount: 0,
      ownedLagCount: 0,
      messagesWaiting: 0,
    },
    append: (records) => log.append(records),
    async happen(events) {
      for (const event of events) await log.append([eventRecord(event)])
      await settle()
    },
    acceptedMessage: (personKey) => findAccepted(world, personKey),
  }
  await applyDefinitions(world, blobs, given.files)
  await world.append((given.itemIds ?? [...'1234']).map(itemRecord))
  await settle()
  return world
}

function askOf(advisor: Advisor, given?: ApiDeps['advise']) {
  const advise = given ?? (async (request: AdviceRequest) => advisor.advise(request))
  return { ...advisor, advise, indexState: async () => advisor.state() }
}

/** Waits for what another part does; fails the test after a minute. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const startedAt = systemClock.monotonicMs()
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() - startedAt > 60_000) throw new Error('it did not become true')
    await systemClock.sleep(2)
  }
}

/** Events that make Ada a known customer: a device that browses, a login, an order. */
export function adaShops(): readonly GivenEvent[] {
  const products = [
    { product_id: '1', price: 10, quantity: 2 },
    { product_id: '2', price: 5, quantity: 1 },
  ]
  return [
    {
      type: 'identify',
      name: 'identify',
      userId: 'ada',
      traits: { email: 'ada@person.example', name: 'Ada' },
    },
    viewOf('ada', '1'),
    viewOf('ada', '2'),
    {
      type: 'track',
      name: 'Order Completed',
      userId: 'ada',
      properties: { order_id: 'o-1', products },
    },
    { type: 'track', name: 'Product Added', userId: 'ada', properties: { product_id: '3' } },
  ]
}

export function viewOf(userId: string, itemId: string): GivenEvent {
  return { type: 'track', name: 'Product Viewed', userId, properties: { product_id: itemId } }
}

let eventNumber = 0
let newestAtMs = 0

export function eventRecord(given: GivenEvent): NewRecord {
  // Each a millisecond later than the one before, so that their order is known.
  const nowMs = Math.max(systemClock.nowMs(), newestAtMs + 1)
  newestAtMs = nowMs
  const event: Event = {
    eventId: `event-${++eventNumber}`,
    sourceId: 'web',
    occurredAtMs: nowMs,
    receivedAtMs: nowMs,
    ...given,
  }
  const { eventId, sourceId, name } = event
  const skeleton: EventSkeleton = { eventId, sourceId, name }
  const key = personKeyOf(event)
  return {
    partition: partitionOf(workspace, key, partitionCount),
    key,
    kind: 'event',
    id: sha256Bytes(`${sourceId}\0${eventId}`, 16),
    recordedAtMs: nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: Buffer.from(JSON.stringify(event)),
  }
}

function itemRecord(itemId: string): NewRecord {
  const key = `item:${itemId}`
  const item = {
    itemId,
    name: `Thing ${itemId}`,
    price: Number(itemId) + 0.5,
    url: `https://shop.example/p/${itemId}`,
    updatedAtMs: 1,
  }
  return {
    partition: partitionOf(workspace, key, partitionCount),
    key,
    kind: 'item',
    id: sha256Bytes(key, 16),
    recordedAtMs: systemClock.nowMs(),
    isBackfill: false,
    keyId: 0,
    skeleton: { itemId },
    body: Buffer.from(JSON.stringify(item)),
  }
}

function everyPartition(): readonly number[] {
  return Array.from({ length: partitionCount }, (_, partition) => partition)
}

function createKeepingMailer(taken: HandOverRequest[]): Mailer {
  return {
    async handOver(request) {
      if (!(await request.mayBegin())) return { kind: 'refused', response: 'it may not begin' }
      taken.push(request)
      return { kind: 'accepted', response: '250 taken' }
    },
    async close() {},
  }
}

/** Tells when the fold has committed a place, as the server does. */
function createCommits(): {
  add(published: { readonly partition: number; readonly offset: number }): void
  wait: ApiDeps['waitCommitted']
} {
  const offsets = new Map<number, number>()
  return {
    add({ partition, offset }) {
      offsets.set(partition, offset)
    },
    async wait(places, msMax) {
      const startedAt = systemClock.monotonicMs()
      const isThere = ({ partition, offset }: Place): boolean =>
        (offsets.get(partition) ?? 0) >= offset
      while (!places.every(isThere)) {
        if (systemClock.monotonicMs() - startedAt >= msMax) return false
        await systemClock.sleep(1)
      }
      return true
    },
  }
}

function createKeys(): Pick<World, 'keys'> & { readonly apiKeys: ApiDeps['apiKeys'] } {
  const keyOf = (scope: Scope): string => `atk_${sha256Hex(scope).slice(0, 43)}`
  const known = new Map<string, ApiKey>(
    (['read', 'render', 'write', 'repair', 'admin'] as const).map((scope) => [
      keyOf(scope),
      { name: scope, scopes: [scope], createdAtMs: 0, hash: sha256Hex(keyOf(scope)) },
    ]),
  )
  const headerOf = (scope: Scope) => ({ authorization: `Bearer ${keyOf(scope)}` })
  return {
    apiKeys: { find: (key) => known.get(key) },
    keys: {
      read: headerOf('read'),
      render: headerOf('render'),
      write: headerOf('write'),
      repair: headerOf('repair'),
      admin: headerOf('admin'),
    },
  }
}

async function applyDefinitions(
  world: World,
  blobs: ReturnType<typeof createMemoryBlobStore>,
  more: DefinitionFiles = new Map(),
): Promise<void> {
  const answer = await parseDefinitionFiles(new Map([...files, ...more]))
  deepStrictEqual(answer.kind === 'refused' ? answer.faults : [], [])
  if (answer.kind === 'refused') return
  const [hash = ''] = await blobs.put([encodeDocument(answer.document)])
  await world.append([
    {
      partition: 0,
      key: 'control:0',
      kind: 'apply',
      id: sha256Bytes(hash, 16),
      recordedAtMs: systemClock.nowMs(),
      isBackfill: false,
      keyId: 0,
      skeleton: { version: 1, hash },
      body: new Uint8Array(0),
    },
  ])
  await world.settle()
}

async function findAccepted(world: World, personKey: string): Promise<Message> {
  const { place } = world.deps
  let accepted: Message | undefined
  await until(async () => {
    for (const { messageId } of world.handedOver) {
      const message = await findMessage(place, messageId)
      if (message?.personKey !== personKey || message.state.kind !== 'accepted') continue
      accepted = message
    }
    return accepted !== undefined
  })
  if (accepted === undefined) throw new Error('no message was accepted')
  await findPerson(place, personKey)
  return accepted
}
