/**
 * Joins calls that come while one is under way into the next one, so that a durable write serves
 * many callers.
 *
 * Order is kept. A failed run rejects its own calls only. Waiting calls are bounded by the callers:
 * each holds one.
 */

import { assert } from './assert.ts'

/**
 * Returns a function that adds one item and resolves with its own result. `run` answers in the
 * order of items.
 */
export function createBatcher<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  countMax: number,
): (item: Item) => Promise<Result> {
  assert(countMax > 0, 'a batch holds at least one item')
  interface Waiting {
    readonly item: Item
    resolve(result: Result): void
    reject(error: unknown): void
  }
  let waiting: Waiting[] = []
  let isRunning = false

  async function drain(): Promise<void> {
    isRunning = true
    // One turn of the microtask queue lets callers of the same instant join the first batch.
    await Promise.resolve()
    while (waiting.length > 0) {
      const batch = waiting.slice(0, countMax)
      waiting = waiting.slice(countMax)
      try {
        const results = await run(batch.map(({ item }) => item))
        assert(results.length === batch.length, 'a batch answers each of its items')
        batch.forEach(({ resolve }, index) => resolve(results[index] as Result))
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    isRunning = false
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (!isRunning) void drain()
    })
}
