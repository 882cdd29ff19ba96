import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Interaction } from '../recommend/recommender.ts'
import { type ErasedProfiles, mergeFeeds, type ReadPage } from './merge-feeds.ts'

function interaction(itemId: string, occurredAtMs: number): Interaction {
  return { profileId: 'p', itemId, kind: 'view', occurredAtMs }
}

function pagesOf(feed: readonly (Interaction | ErasedProfiles)[], pageCount: number): ReadPage {
  let at = 0
  return async () => {
    at += pageCount
    return feed.slice(at - pageCount, at)
  }
}

describe('mergeFeeds', () => {
  it('tells all in the order of time, whatever the pages are (property)', async () => {
    const feeds = fc.array(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 30 }), {
      maxLength: 5,
    })
    await fc.assert(
      fc.asyncProperty(feeds, fc.integer({ min: 1, max: 7 }), async (given, pageCount) => {
        const all = given.map((times, feed) =>
          times
            .toSorted((left, right) => left - right)
            .map((atMs, index) => interaction(`${feed}-${index}`, atMs)),
        )
        const learned: Interaction[] = []
        const pages = all.map((feed) => pagesOf(feed, pageCount))
        await mergeFeeds(pages, {
          learn: (interactions) => learned.push(...interactions),
          erase: () => assert.fail('nobody is erased'),
        })
        // A stable sort keeps feeds of one instant in their order.
        const expected = all.flat().sort((left, right) => left.occurredAtMs - right.occurredAtMs)
        assert.deepEqual(learned, expected)
      }),
      { numRuns: 100 },
    )
  })

  it('keeps the order of a feed whose times jump back', async () => {
    const jumping = [5, 1, 9].map((atMs) => interaction(`a${atMs}`, atMs))
    const learned: string[] = []
    await mergeFeeds([pagesOf(jumping, 2), pagesOf([interaction('b3', 3)], 2)], {
      learn: (interactions) => learned.push(...interactions.map(({ itemId }) => itemId)),
      erase: () => assert.fail('nobody is erased'),
    })
    assert.deepEqual(learned, ['b3', 'a5', 'a1', 'a9'])
  })

  it('tells an erasure behind all that its feed has before it, and before all behind', async () => {
    const told: string[] = []
    const first = [interaction('a1', 1), interaction('a9', 9), { erased: ['p'] }]
    const feeds = [[...first, interaction('a2', 2)], [5, 12].map((at) => interaction(`b${at}`, at))]
    for (const pageCount of [1, 3, 9]) {
      told.length = 0
      await mergeFeeds(
        feeds.map((feed) => pagesOf(feed, pageCount)),
        {
          learn: (interactions) => told.push(...interactions.map(({ itemId }) => itemId)),
          erase: (profileIds) => told.push(`erase ${profileIds.join()}`),
        },
      )
      assert.deepEqual(told, ['a1', 'b5', 'a9', 'erase p', 'a2', 'b12'])
    }
  })
})
