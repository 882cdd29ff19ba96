/**
 * Thread of the recommendation index: learns from the feed, answers queries of the other threads.
 *
 * At start it notes how far the feed of each partition goes, and says that it is ready: the fold
 * may start. Then it reads the feed up to there and the catalog, oldest first, before it answers
 * anything. What commits add meanwhile waits in its ports, in order, where the folds are in this
 * process; where they are in others, it is read from the state. So nothing comes twice or is left
 * out, and the server listens while the index fills.
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Item } from './catalog/item.ts'
import { openStateStore } from './command/open-stores.ts'
import type { StateOptions } from './command/store-options.ts'
import { createThreadLogger } from './command/thread-logger.ts'
import { assert } from './lib/assert.ts'
import { systemClock } from './lib/clock.ts'
import { isRetryable } from './lib/errors.ts'
import type { Logger } from './lib/logger.ts'
import { createPortCaller, servePort } from './lib/port-call.ts'
import { FeedFollower } from './process/follow-feed.ts'
import { type AdviceRequest, type Advisor, createAdvisor } from './recommend/advisor.ts'
import { createBlend } from './recommend/blend.ts'
import type { Interaction } from './recommend/recommender.ts'

export interface RecommendWorkerData {
  readonly state: StateOptions
  readonly partitionCount: number
  readonly eventCountMax: number
  readonly ports: readonly MessagePort[]
  /** Present where the feed is followed in the state, this often. */
  readonly followMs?: number
}

async function run(data: RecommendWorkerData): Promise<void> {
  assert(parentPort !== null, 'main-recommend runs as a worker')
  const main = createPortCaller(parentPort)
  const logger = createThreadLogger(main)
  const advisor = createAdvisor(createBlend({ eventCountMax: data.eventCountMax }))
  const deps = { clock: systemClock, logger }
  const state = await openStateStore(deps, data.state, { isReader: true })
  const follower = new FeedFollower(state, data.partitionCount)
  await follower.open()
  main.tell('opened')
  await follower.fill(advisor)
  for (const port of data.ports) {
    servePort(port, {
      learn: (interactions: readonly Interaction[]) => advisor.learn(interactions),
      follow: (item: Item) => advisor.follow(item),
      advise: (request: AdviceRequest) => advisor.advise(request),
    })
  }
  if (data.followMs === undefined) await state.close()
  else await follow(follower, advisor, { logger, followMs: data.followMs })
}

/** Runs until the thread is ended. A store that does not answer is asked again later. */
async function follow(
  follower: FeedFollower,
  advisor: Advisor,
  { logger, followMs }: { readonly logger: Logger; readonly followMs: number },
): Promise<never> {
  let missedCount = 0
  for (;;) {
    await systemClock.sleep(followMs)
    try {
      await follower.catchUp(advisor)
    } catch (error) {
      if (!isRetryable(error)) throw error
    }
    if (follower.missedCount === missedCount) continue
    missedCount = follower.missedCount
    logger.warn({ missedCount }, 'entries of the feed were gone before the index had read them')
  }
}

assert(workerData !== null, 'main-recommend runs as a worker')
await run(workerData as RecommendWorkerData)
