/**
 * Thread of the recommendation index: learns from the feed, answers queries of the other threads.
 *
 * At start it notes how far the feed of each partition goes, and says that it is ready: the fold
 * may start. Then it reads the feed up to there and the catalog, oldest first, before it answers
 * anything; what commits add meanwhile waits in its ports, in order. So nothing comes twice or is
 * left out, and the server listens while the index fills.
 */

import { type MessagePort, workerData } from 'node:worker_threads'
import type { Item } from './catalog/item.ts'
import { assert } from './lib/assert.ts'
import { servePort } from './lib/port-call.ts'
import { decodeFeed } from './process/fold-event.ts'
import { metaKey } from './process/meta.ts'
import { feedPrefix, hex, itemCodec, itemPrefix, metaCodec } from './process/scope.ts'
import { type AdviceRequest, type Advisor, createAdvisor } from './recommend/advisor.ts'
import { createBlend } from './recommend/blend.ts'
import type { Interaction } from './recommend/recommender.ts'
import { openSqliteStateStore } from './state/sqlite-state-store.ts'
import type { Entry, StateReader } from './state/state-store.ts'

export interface RecommendWorkerData {
  readonly dataDir: string
  readonly partitionCount: number
  readonly eventCountMax: number
  readonly ports: readonly MessagePort[]
  readonly ready: MessagePort
}

const scanCount = 2000

async function run(data: RecommendWorkerData): Promise<void> {
  const advisor = createAdvisor(createBlend({ eventCountMax: data.eventCountMax }))
  const state = await openSqliteStateStore({ dataDir: data.dataDir, readOnly: true })
  const ends = await feedEnds(state, data.partitionCount)
  data.ready.postMessage('ready')
  await fillAdvisor(advisor, state, ends)
  await state.close()
  for (const port of data.ports) {
    servePort(port, {
      learn: (interactions: readonly Interaction[]) => advisor.learn(interactions),
      follow: (item: Item) => advisor.follow(item),
      advise: (request: AdviceRequest) => advisor.advise(request),
    })
  }
}

/** Returns the key of the first entry that the feed of each partition does not have yet. */
async function feedEnds(state: StateReader, partitionCount: number): Promise<readonly string[]> {
  const ends: string[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const [bytes] = await state.get(partition, [metaKey])
    const next = bytes === undefined ? 1 : metaCodec.decode(bytes).feedNext
    ends.push(feedPrefix + hex(next, 12))
  }
  return ends
}

/** Learns all that the state holds, in the order of time. */
async function fillAdvisor(
  advisor: Advisor,
  state: StateReader,
  ends: readonly string[],
): Promise<void> {
  const interactions: Interaction[] = []
  for (const [partition, end] of ends.entries()) {
    for await (const { value } of scanAll(state, partition, itemPrefix)) {
      advisor.follow(itemCodec.decode(value))
    }
    for await (const { key, value } of scanAll(state, partition, feedPrefix)) {
      if (key >= end) break
      interactions.push(...decodeFeed(value))
    }
  }
  // Stable, so that interactions of one instant keep the order of their partition.
  interactions.sort((left, right) => left.occurredAtMs - right.occurredAtMs)
  advisor.learn(interactions)
}

async function* scanAll(
  state: StateReader,
  partition: number,
  prefix: string,
): AsyncGenerator<Entry> {
  for (let after = ''; ; ) {
    const page = await state.scan(partition, prefix, after, scanCount)
    yield* page
    if (page.length < scanCount) return
    after = page.at(-1)?.key ?? ''
  }
}

assert(workerData !== null, 'main-recommend runs as a worker')
await run(workerData as RecommendWorkerData)
