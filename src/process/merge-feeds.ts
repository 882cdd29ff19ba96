/**
 * Brings the feeds of all partitions into one order of time, page by page: whatever the feeds hold,
 * only a page of each is in memory. Within a partition the order stays; of two of the same instant
 * that of the lower partition comes first.
 */

import type { Interaction } from '../recommend/recommender.ts'

/** Answers the next interactions of one feed; none at its end. */
export type ReadPage = () => Promise<readonly Interaction[]>

/** Told at a time. */
const batchCountMax = 1000

export async function mergeFeeds(
  pages: readonly ReadPage[],
  learn: (interactions: readonly Interaction[]) => void,
): Promise<void> {
  const feeds: { readonly read: ReadPage; page: readonly Interaction[]; at: number }[] = []
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
      const atMs = feed?.page[feed.at]?.occurredAtMs ?? Number.POSITIVE_INFINITY
      if (atMs >= oldestMs) continue
      oldest = index
      oldestMs = atMs
    }
    const feed = feeds[oldest]
    const interaction = feed?.page[feed.at]
    if (feed === undefined || interaction === undefined) break
    batch.push(interaction)
    feed.at += 1
    if (feed.at === feed.page.length) {
      feed.page = await feed.read()
      feed.at = 0
      if (feed.page.length === 0) feeds.splice(oldest, 1)
    }
    if (batch.length < batchCountMax) continue
    learn(batch)
    batch = []
  }
  if (batch.length > 0) learn(batch)
}
