/**
 * Tells another thread of the same process which commit of the state runs, so that it can see one
 * that never ends. Of use only where a commit holds its thread: over a network it has a deadline.
 */

import type { StateStore } from './state-store.ts'
import { withCommit } from './with-commit.ts'

const begunPlace = 0
const endedPlace = 1
export const commitMarkBytes = 8

/** Returns how many commits had ended, undefined while none runs. */
export function runningCommit(shared: SharedArrayBuffer): number | undefined {
  const mark = new Int32Array(shared)
  const ended = Atomics.load(mark, endedPlace)
  return Atomics.load(mark, begunPlace) === ended ? undefined : ended
}

/** Returns the store with its commits marked in `shared`, of `commitMarkBytes`. */
export function withCommitMark(store: StateStore, shared: SharedArrayBuffer): StateStore {
  const mark = new Int32Array(shared)
  return withCommit(store, async (commits) => {
    Atomics.add(mark, begunPlace, 1)
    try {
      return await store.commit(commits)
    } finally {
      Atomics.add(mark, endedPlace, 1)
    }
  })
}
