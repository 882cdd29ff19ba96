/**
 * Tells readers of the same process which entries of the state may have changed: whoever kept what
 * it made of an entry need not read it again while the entry's count stands still.
 *
 * The counts lie in shared memory and are raised after the commit and before it is answered. So
 * whoever was told of a commit finds the counts of all its entries moved. Keys share counts: one
 * that moved only says "look again". Of use only where all commits are made in this process.
 */

import { murmur3 } from '../lib/hash.ts'
import type { StateStore } from './state-store.ts'
import { withCommit } from './with-commit.ts'

export interface ChangeBoard {
  /** Returns a number that differs after each commit that changes `key`. */
  countOf(key: string): number
  /** Where the count of `key` lies, for those who look again and again. */
  placeOf(key: string): number
  countAt(place: number): number
  noteChange(key: string): void
}

/** At 20,000 changes a second a count that others share moves every 13 s. */
const placeCount = 2 ** 18
export const changeBoardBytes = 4 * placeCount

/** Threads that get the same `shared`, of `changeBoardBytes`, see the same counts. */
export function createChangeBoard(shared: SharedArrayBuffer): ChangeBoard {
  const counts = new Int32Array(shared, 0, placeCount)
  const placeOf = (key: string): number => murmur3(key) % placeCount
  return {
    countOf: (key) => Atomics.load(counts, placeOf(key)),
    placeOf,
    countAt: (place) => Atomics.load(counts, place),
    noteChange: (key) => void Atomics.add(counts, placeOf(key), 1),
  }
}

/** Returns the store with its commits noted on the board, for keys that begin with a prefix. */
export function withChangeBoard(
  store: StateStore,
  board: Pick<ChangeBoard, 'noteChange'>,
  prefixes: readonly string[],
): StateStore {
  const isWatched = (key: string): boolean => prefixes.some((prefix) => key.startsWith(prefix))
  return withCommit(store, async (commits) => {
    try {
      return await store.commit(commits)
    } finally {
      // Also after a failure: whether the commit was taken is unclear then.
      for (const { changes } of commits) {
        for (const { key } of changes) if (isWatched(key)) board.noteChange(key)
      }
    }
  })
}
