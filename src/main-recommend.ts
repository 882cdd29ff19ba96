/**
 * Thread of the recommendation index: learns from the feed, answers queries of the other threads.
 *
 * At start it reads the feed and the catalog from the state, oldest first, before it answers
 * anything; what commits add later comes by message, in order. Starting it before the fold means
 * that nothing comes twice or is left out.
 */

import { type MessagePort, workerData } from 'node:worker_threads'
import type { Item } from './catalog/item.ts'
import { assert } from './lib/assert.ts'
import { servePort } from './lib/port-call.ts'
import { decodeFeed } from './process/fold-event.ts'
import { feedPrefix, itemCodec, itemPrefix } from './process/scope.ts'
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
  await fillAdvisor(advisor, state, data.partitionCount)
  await state.close()
  for (const port of data.ports) {
    servePort(port, {
      learn: (interactions: readonly Interaction[]) => advisor.learn(interactions),
      follow: (item: Item) => advisor.follow(item),
      advise: (request: AdviceRequest) => advisor.advise(request),
    })
  }
  data.ready.postMessage('ready')
}

/** Learns all that the state holds, in the order of time. */
async function fillAdvisor(
  advisor: Advisor,
  state: StateReader,
  partitionCount: number,
): Promise<void> {
  const interactions: Interaction[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    for await (const { value } of scanAll(state, partition, itemPrefix)) {
      advisor.follow(itemCodec.decode(value))
    }
    for await (const { value } of scanAll(state, partition, feedPrefix)) {
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
