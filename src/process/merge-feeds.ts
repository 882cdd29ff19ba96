/**
 * Brings the feeds of all partitions into one order of time, page by page: whatever the feeds hold,
 * only a page of each is in memory. Within a partition the order stays; of two of the same instant
 * that of the lower partition comes first.
 */

import type { Interaction } from '../recommend/recommender.ts'

/** Profiles that were erased, of one partition. */
export interface ErasedProfiles {
  readonly erased: readonly string[]
}

/** Answers what comes next in one feed; nothing at its end. */
export type ReadPage = () => Promise<readonly (Interaction | ErasedProfiles)[]>

export interface MergeListener {
  learn(interactions: readonly Interaction[]): void
  erase(profileIds: readonly string[]): void
}

/** Told at a time. */
const batchCountMax = 1000

export async function mergeFeeds(
  pages: readonly ReadPage[],
  listener: MergeListener,
): Promise<void> {
  const feeds: { readonly read: ReadPage; page: Awaited<ReturnType<ReadPage>>; at: number }[] = []
  for (const read of pages) {
    const page = await read()
    if (page.length > 0) feeds.push({ read, page, at: 0 })
  }
  let batch: Interaction[] = []
  while (feeds.length > 0) {
    let oldest = 0
    let oldestMs = Number.POSITIVE_INFINITY
    for (let index = 0; index < feeds.length; index++) {
      const feed = feeds[index]
      const atMs = atMsOf(feed?.page[feed.at])
      if (atMs >= oldestMs) continue
      oldest = index
      oldestMs = atMs
    }
    const feed = feeds[oldest]
    const step = feed?.page[feed.at]
    if (feed === undefined || step === undefined) break
    if (isErasure(step)) {
      if (batch.length > 0) listener.learn(batch)
      batch = []
      listener.erase(step.erased)
    } else batch.push(step)
    feed.at += 1
    if (feed.at === feed.page.length) {
      feed.page = await feed.read()
      feed.at = 0
      if (feed.page.length === 0) feeds.splice(oldest, 1)
    }
    if (batch.length < batchCountMax) continue
    listener.learn(batch)
    batch = []
  }
  if (batch.length > 0) listener.learn(batch)
}

/** An erasure comes as soon as all before it in its feed has come. */
function atMsOf(step: Interaction | ErasedProfiles | undefined): number {
  if (step === undefined) return Number.POSITIVE_INFINITY
  return isErasure(step) ? Number.NEGATIVE_INFINITY : step.occurredAtMs
}

function isErasure(step: Interaction | ErasedProfiles): step is ErasedProfiles {
  return 'erased' in step
}
