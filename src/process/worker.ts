/**
 * The owner of partitions as a whole: the fold, and delivery beside it.
 *
 * The same code on threads with SQLite, in a cluster, and in the simulator: everything it touches
 * is given. Stops from the outside in: delivery begins nothing more and ends what it has in hand,
 * then the fold commits and stops.
 */

import type { Message } from '../campaign/message.ts'
import type { Item } from '../catalog/item.ts'
import { createDelivery, type Delivery, type DeliveryOptions } from '../delivery/delivery.ts'
import type { Mailer } from '../delivery/mailer.ts'
import type { StatePlace } from '../delivery/read-state.ts'
import type { Event } from '../event/event.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Advice, AdviceRequest } from '../recommend/advisor.ts'
import type { Interaction } from '../recommend/recommender.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateStore } from '../state/state-store.ts'
import type { Renderer } from '../template/template.ts'
import { createDefinitionsCache, type DefinitionsCache } from './definitions-cache.ts'
import type { OpenFillBase } from './fill-start.ts'
import type { Freshness } from './freshness.ts'
import { decodeJson } from './meta.ts'
import { type Published, runProcessor } from './processor.ts'
import type { ProcessorOptions } from './processor-options.ts'

export interface FeedPlace {
  readonly partition: number
  /** Number of the next entry. */
  readonly next: number
}

/** The recommendation index as the worker needs it; it may live on another thread. */
export interface AdvisorPort {
  /** `feed` tells up to which entry of which partition's feed they are. */
  learn(interactions: readonly Interaction[], feed: FeedPlace): void
  /** Forgets profiles, behind all that was learned before. */
  erase(profileIds: readonly string[], feed: FeedPlace): void
  follow(item: Item): void
  advise(request: AdviceRequest): Promise<Advice>
}

export interface WorkerDeps {
  readonly log: EventLog
  readonly state: StateStore
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly freshness: Freshness
  readonly renderer: Renderer
  readonly advisor: AdvisorPort
  /** Absent where nothing is to be sent: messages stay due. */
  readonly mailer?: Mailer
  /** Opens an empty state in memory: the past of new computed traits is folded into it. */
  openScratch(): StateStore
  /** Opens a base of the data directory where the log was trimmed; absent where there are none. */
  readonly openFillBase?: OpenFillBase
  /** Gives other work of this thread its turn; absent where nothing else runs on it. */
  nextTurn?(): Promise<void>
  /** Lets what a partition has written leave, before the next one side by side is folded. */
  handOver?(): Promise<void>
  /** Told after each commit of a partition; for those who wait for a record to be folded. */
  onCommitted(published: Published): void
  /** Told when a partition is given up, or another owner has it. */
  onLost?(partition: number): void
  /** Told when a partition stops before a record that cannot be folded, and when it goes on. */
  reportStopped?(
    partition: number,
    stopped?: { readonly offset: number; readonly says: string },
  ): void
}

export interface WorkerOptions {
  readonly processor: ProcessorOptions
  readonly delivery: DeliveryOptions
}

/**
 * Runs until `signal` aborts, for the partitions that the log assigns. Rejects when it cannot go
 * on; the process should end then.
 */
export async function runWorker(
  deps: WorkerDeps,
  options: WorkerOptions,
  signal: AbortSignal,
): Promise<void> {
  const definitions = createDefinitionsCache(deps.blobs)
  const delivery = deps.mailer && openDelivery(deps, deps.mailer, options, definitions)
  const folding = new AbortController()
  const delivering = new AbortController()
  const processor = runProcessor(
    {
      ...deps,
      definitionsOf: definitions.definitionsOf,
      listOf: definitions.listOf,
      publish: (published) => publish(deps, delivery, published),
      drain: (partition) => delivery?.drain(partition) ?? Promise.resolve(),
      lost: (partition) => {
        delivery?.lost(partition)
        deps.onLost?.(partition)
      },
      reportStopped: (partition, stopped) => deps.reportStopped?.(partition, stopped),
    },
    options.processor,
    folding.signal,
  )
  const failed = processor.finally(() => delivering.abort())
  // Thrown below, once delivery has ended what it has in hand; until then nobody waits for it.
  failed.catch(() => undefined)
  const onAbort = (): void => delivering.abort()
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  await (delivery?.run(delivering.signal) ?? untilAborted(delivering.signal))
  folding.abort()
  signal.removeEventListener('abort', onAbort)
  await failed
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Tells everybody what a commit made true. */
function publish(deps: WorkerDeps, delivery: Delivery | undefined, published: Published): void {
  // The index may live on another thread: one message for a commit, not one for each event.
  const { partition, offset } = published
  deps.freshness.noteReached(partition, offset)
  let learned: Interaction[] = []
  let next = 1
  const tellLearned = (): void => {
    if (learned.length > 0) deps.advisor.learn(learned, { partition, next })
    learned = []
  }
  for (const effect of published.effects) {
    switch (effect.kind) {
      case 'message-due':
        delivery?.messageDue(effect.messageId)
        break
      case 'claim-answered':
        delivery?.claimAnswered(effect.messageId, effect.attempt, effect.isGranted)
        break
      case 'learned':
        learned.push(...effect.interactions)
        next = effect.number + 1
        break
      case 'erased':
        tellLearned()
        deps.advisor.erase(effect.profileIds, { partition, next: effect.number + 1 })
        break
      case 'item-changed':
        deps.advisor.follow(effect.item)
        break
      case 'found':
      case 'definitions-changed':
        break
    }
  }
  tellLearned()
  if (published.ownedEpoch !== undefined) {
    delivery?.owned(published.partition, published.ownedEpoch)
  }
  deps.onCommitted(published)
}

function openDelivery(
  deps: WorkerDeps,
  mailer: Mailer,
  options: WorkerOptions,
  definitions: DefinitionsCache,
): Delivery {
  const { clock, freshness, log, state } = deps
  const { workspace } = options.processor
  const { partitionCount } = log.identity
  const place: StatePlace = { state, workspace, partitionCount }
  return createDelivery(
    {
      place,
      clock,
      log,
      mailer,
      random: deps.random,
      logger: deps.logger,
      renderer: deps.renderer,
      blobs: deps.blobs,
      advise: (request) => deps.advisor.advise(request),
      ageMs: (partition) => clock.nowMs() - freshness.confirmedAtMs(partition),
      reachedOffset: (partition) => freshness.reachedOffset(partition),
      templateOf: (message) => definitions.templateOf(message),
      triggerEventOf: (partition, message) => readTriggerEvent(log, partition, message),
    },
    options.delivery,
  )
}

/** Reads the event that started the enrollment, as it stands in the log. */
async function readTriggerEvent(
  log: EventLog,
  partition: number,
  message: Message,
): Promise<Event | undefined> {
  const { kind, offset, partition: triggerPartition = partition } = message.trigger
  if (kind !== 'event') return undefined
  const [record] = await log.read(triggerPartition, offset - 1, 1)
  if (record?.offset !== offset || record.kind !== 'event' || record.keyId !== 0) return undefined
  return decodeJson<Event>(record.body)
}
