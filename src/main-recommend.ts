/**
 * Thread of the recommendation index: learns from the feed, answers queries of the other threads.
 *
 * At start it notes how far the feed of each partition goes, and says that it is ready: the fold
 * may start. Then it reads its snapshot, if it has one that fits, the feed from there up to where
 * it was noted, and the catalog, before it answers anything. What commits add meanwhile waits in
 * its ports, in order, where the folds are in this process; where they are in others, it is read
 * from the state. So nothing comes twice or is left out, and the server listens while the index
 * fills.
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Item } from './catalog/item.ts'
import { type AdviceQuestion, answerAdvise } from './command/advise-port.ts'
import {
  IndexKeeper,
  type IndexKeeperOptions,
  type LearnMessage,
  type SnapshotIndex,
} from './command/index-keeper.ts'
import { loadSnapshot } from './command/index-snapshot.ts'
import { openStateStore } from './command/open-stores.ts'
import type { StateOptions } from './command/store-options.ts'
import { createThreadLogger } from './command/thread-logger.ts'
import { assert } from './lib/assert.ts'
import { systemClock } from './lib/clock.ts'
import { isRetryable } from './lib/errors.ts'
import { keepTicksFast } from './lib/fast-ticks.ts'
import type { Logger } from './lib/logger.ts'
import { createPortCaller, servePort } from './lib/port-call.ts'
import { lowerOwnPriority } from './lib/thread-niceness.ts'
import { FeedFollower } from './process/follow-feed.ts'
import { type Advisor, createAdvisor } from './recommend/advisor.ts'
import { createBlend } from './recommend/blend.ts'
import type { Recommender } from './recommend/recommender.ts'

export interface RecommendWorkerData {
  readonly state: StateOptions
  readonly partitionCount: number
  readonly eventCountMax: number
  /** How far this thread gives way to intake; 0 where none is in this process. */
  readonly niceness: number
  readonly ports: readonly MessagePort[]
  readonly snapshot: IndexKeeperOptions
  /** Present where the feed is followed in the state, this often. */
  readonly followMs?: number
}

const deps = { clock: systemClock }

/** An index, what it learns from, and what keeps it. */
interface Learning {
  readonly follower: FeedFollower
  readonly advisor: Advisor
  readonly keeper: IndexKeeper
}

async function run(data: RecommendWorkerData): Promise<void> {
  assert(parentPort !== null, 'main-recommend runs as a worker')
  keepTicksFast()
  lowerOwnPriority(data.niceness)
  const main = createPortCaller(parentPort)
  const logger = createThreadLogger(main)
  const state = await openStateStore({ ...deps, logger }, data.state, { isReader: true })
  const given = { data, logger }
  const follower = new FeedFollower(state, data.partitionCount)
  await follower.open()
  main.tell('opened')
  const incarnation = await follower.readIncarnation()
  const { index, from, ...opened } = await openIndex(data, { follower, incarnation, logger })
  let { advisor } = opened
  let learning = await startLearning(given, { follower, advisor, index }, from)
  const broken = Promise.withResolvers<never>()
  // Nobody waits for these: what they throw would be lost, and the index go on without what it is.
  const orEnd = (learn: () => void): void => {
    try {
      learn()
    } catch (error) {
      broken.reject(error)
    }
  }
  for (const port of data.ports) {
    servePort(port, {
      learn: (message: LearnMessage) => orEnd(() => learning.keeper.learn(message)),
      follow: (item: Item) => orEnd(() => advisor.follow(item)),
      advise: (question: AdviceQuestion) => answerAdvise(advisor, question),
    })
  }
  const stop = new AbortController()
  const relearn = async (): Promise<Learning> => {
    const again = new FeedFollower(state, data.partitionCount)
    await again.open()
    const empty = createBlend({ eventCountMax: data.eventCountMax })
    // The one before goes at once: two have no room, and who was erased must not be in an answer.
    advisor = createAdvisor(empty)
    learning = await startLearning(given, { follower: again, advisor, index: empty })
    return learning
  }
  const following =
    data.followMs === undefined
      ? Promise.resolve()
      : follow({ learning, relearn, logger }, data.followMs, stop.signal)
  following.catch(() => {
    // Thrown where it is awaited below; until then the thread goes on answering.
  })
  main.tell('filled')
  servePort(parentPort, {
    state: () => advisor.state(),
    close: async () => {
      stop.abort()
      await following
      await learning.keeper.close()
      await state.close()
    },
  })
  await Promise.all([following, broken.promise])
}

/** Fills an index from the feed: from `from` on, or all of it. */
async function startLearning(
  { data, logger }: { readonly data: RecommendWorkerData; readonly logger: Logger },
  given: Pick<Learning, 'follower' | 'advisor'> & { readonly index: Recommender },
  from?: readonly number[],
): Promise<Learning> {
  const { follower, advisor } = given
  const hasErased = await fill({ follower, advisor, logger }, from)
  const keeper = new IndexKeeper({ ...deps, logger }, data.snapshot, {
    advisor,
    index: withRobots(given),
    incarnation: () => follower.readIncarnation(),
    next: follower.next,
  })
  if (hasErased) keeper.dropSnapshot()
  return { follower, advisor, keeper }
}

/** What a snapshot holds: the index, and what was counted of those who may be robots. */
function withRobots({ index, advisor }: Pick<Opened, 'index' | 'advisor'>): SnapshotIndex {
  return {
    get learnedCount() {
      return index.learnedCount
    },
    transfer(through) {
      index.transfer(through)
      advisor.robots.transfer(through)
    },
  }
}

interface Opened {
  readonly index: Recommender
  readonly advisor: Advisor
  /** By partition: number of the first entry of the feed to learn; undefined: all. */
  readonly from: readonly number[] | undefined
}

/** Returns the index of the snapshot, and from where in the feed to go on; else an empty one. */
async function openIndex(
  data: RecommendWorkerData,
  given: {
    readonly follower: FeedFollower
    readonly incarnation: string
    readonly logger: Logger
  },
): Promise<Opened> {
  const { follower, logger } = given
  const openEmpty = (): Opened => {
    const index = createBlend({ eventCountMax: data.eventCountMax })
    return { index, advisor: createAdvisor(index), from: undefined }
  }
  const opened = openEmpty()
  if (data.snapshot.everyCount === 0) return opened
  const loaded = loadSnapshot(data.snapshot.path, withRobots(opened), ({ incarnation, next }) => {
    if (incarnation !== given.incarnation) return 'is of another log'
    if (next.length !== follower.next.length) return 'has another number of partitions'
    // The state lost its newest commits; folded again, it would be learned twice.
    const isAhead = next.some((number, partition) => number > (follower.next[partition] ?? 1))
    return isAhead ? 'is newer than the state' : undefined
  })
  if (loaded.kind === 'absent') return opened
  const isWhole = loaded.kind === 'loaded' && (await follower.holdsFrom(loaded.place.next))
  if (isWhole) return { ...opened, from: loaded.place.next }
  // Somebody may have been erased by what is gone.
  const says = loaded.kind === 'unfit' ? loaded.says : 'is older than what the feed holds'
  logger.warn({ says }, 'the snapshot of the index does not fit; learning all again')
  return openEmpty()
}

/** Tells whether somebody was erased on the way. */
async function fill(
  {
    follower,
    advisor,
    logger,
  }: { readonly follower: FeedFollower; readonly advisor: Advisor; readonly logger: Logger },
  from: readonly number[] | undefined,
): Promise<boolean> {
  const startedAt = deps.clock.monotonicMs()
  let hasErased = false
  await follower.fill(
    {
      learn: (interactions) => advisor.learn(interactions),
      follow: (item) => advisor.follow(item),
      erase(profileIds) {
        advisor.erase(profileIds)
        hasErased = true
      },
    },
    from,
  )
  const { itemCount } = advisor.state()
  const tookMs = Math.round(deps.clock.monotonicMs() - startedAt)
  const isFromSnapshot = from !== undefined
  logger.info({ isFromSnapshot, itemCount, tookMs }, 'the index is filled')
  return hasErased
}

/**
 * Runs until `signal` aborts. A store that does not answer is asked again later. Where entries were
 * gone before they were read somebody may have been erased by them, so all is learned again.
 */
async function follow(
  {
    learning,
    relearn,
    logger,
  }: {
    readonly learning: Learning
    readonly relearn: () => Promise<Learning>
    readonly logger: Logger
  },
  followMs: number,
  signal: AbortSignal,
): Promise<void> {
  let current = learning
  while (!signal.aborted) {
    await deps.clock.sleep(followMs, signal)
    try {
      const { missedCount } = current.follower
      if (missedCount > 0) {
        const says = 'entries of the feed were gone before the index had read them; learning again'
        logger.warn({ missedCount }, says)
        current.keeper.dropSnapshot()
        current = await relearn()
      }
      const { advisor, follower, keeper } = current
      await follower.catchUp({
        learn: (interactions) => advisor.learn(interactions),
        follow: (item) => advisor.follow(item),
        erase: (profileIds) => keeper.erase(profileIds),
      })
      if (follower.missedCount === 0) await keeper.moveTo(follower.next)
    } catch (error) {
      if (!isRetryable(error)) throw error
    }
  }
}

assert(workerData !== null, 'main-recommend runs as a worker')
await run(workerData as RecommendWorkerData)
