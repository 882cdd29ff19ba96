/**
 * The state in memory: for what a worker folds beside the real state and throws away, for tests,
 * and for the simulator, which can take it back to what it was: `snapshot` and `restore` play a
 * store that lost its newest commits, `empty` one that lost all; of one partition alone, where it
 * lies on a node of its own. Nothing asynchronous but resolved promises.
 */

import { assertCommitFits, compareKeys, rangeOf } from './key-order.ts'
import {
  type Change,
  type CommitAnswer,
  type Entry,
  type Head,
  isRepeat,
  noHead,
  type PartitionCommit,
  type StateStore,
} from './state-store.ts'

/** Made by `snapshot`; later commits do not change it. */
export interface MemoryStateSnapshot {
  readonly version: Version
}

/** A state that was. Whoever holds one holds what came behind it, and the way back. */
interface Version {
  next: Version | undefined
  /** Takes the state of `next` back to this one. */
  readonly undo: Undo[]
}

interface Undo {
  readonly partition: number
  readonly head: Head
  readonly values: readonly Change[]
}

export interface MemoryStateStore extends StateStore {
  snapshot(): MemoryStateSnapshot
  /** Takes the partition back, or all where none is named. */
  restore(snapshot: MemoryStateSnapshot, partition?: number): void
  empty(partition: number): void
  /** The head without a turn of promises, for whoever sees every effect in order. */
  headNow(partition: number): Head
  /** Keys kept in the partition. */
  count(partition: number): number
}

interface MemoryPartition {
  head: Head
  /** In order. */
  readonly keys: string[]
  readonly values: Map<string, Uint8Array>
}

export function createMemoryStateStore(): MemoryStateStore {
  const partitions = new Map<number, MemoryPartition>()
  let newest: Version = { next: undefined, undo: [] }
  let hasSnapshots = false

  const moveOn = (undo: Undo): void => {
    if (!hasSnapshots) return
    newest.undo.push(undo)
    newest.next = { next: undefined, undo: [] }
    newest = newest.next
  }

  const setHead = (partition: number, head: Head): void => {
    const target = partitionAt(partition)
    moveOn({ partition, head: target.head, values: [] })
    target.head = head
  }

  const goBack = ({ partition, head, values }: Undo): void => {
    const target = partitionAt(partition)
    const before = { partition, head: target.head, values: change(target, values) }
    target.head = head
    moveOn(before)
  }

  const partitionAt = (partition: number): MemoryPartition => {
    const known = partitions.get(partition)
    if (known) return known
    const made: MemoryPartition = { head: noHead, keys: [], values: new Map() }
    partitions.set(partition, made)
    return made
  }

  return {
    async head(partition) {
      return partitionAt(partition).head
    },
    async get(partition, keys) {
      const { values } = partitionAt(partition)
      return keys.map((key) => values.get(key)?.slice())
    },
    async scan(partition, prefix, after, countMax) {
      const { keys, values } = partitionAt(partition)
      const { from, to } = rangeOf(prefix, after)
      const entries: Entry[] = []
      for (let at = placeOf(keys, from); at < keys.length && entries.length < countMax; at++) {
        const key = keys[at] ?? ''
        if (compareKeys(key, to) >= 0) break
        entries.push({ key, value: (values.get(key) ?? new Uint8Array()).slice() })
      }
      return entries
    },
    async acquire(partition, epoch, nonce) {
      const target = partitionAt(partition)
      const isOwn = epoch === target.head.epoch && nonce === target.head.nonce
      if (epoch <= target.head.epoch && !isOwn) return 'fenced'
      setHead(partition, { ...target.head, epoch, nonce })
      return 'acquired'
    },
    async release(partition, epoch, nonce) {
      const target = partitionAt(partition)
      if (epoch === target.head.epoch && nonce === target.head.nonce) {
        setHead(partition, { ...target.head, nonce: '' })
      }
    },
    async commit(commits) {
      for (const commit of commits) assertCommitFits(commit)
      return commits.map((commit) => applyCommit(partitionAt(commit.partition), commit, moveOn))
    },
    async close() {},
    snapshot() {
      hasSnapshots = true
      return { version: newest }
    },
    restore(snapshot, only) {
      // Going back is one more change: what was snapshot before it, or behind, is there still.
      for (const undo of undoneSince(snapshot)) {
        if (only === undefined || undo.partition === only) goBack(undo)
      }
    },
    empty(partition) {
      const values = partitionAt(partition).keys.map((key) => ({ key, value: undefined }))
      goBack({ partition, head: noHead, values: values.reverse() })
    },
    headNow: (partition) => partitionAt(partition).head,
    count: (partition) => partitionAt(partition).keys.length,
  }
}

/** Returns what leads back to a snapshot, from the newest change on. */
function undoneSince({ version }: MemoryStateSnapshot): readonly Undo[] {
  const undone: Undo[] = []
  for (let at = version; at.next !== undefined; at = at.next) undone.push(...at.undo)
  return undone.reverse()
}

function applyCommit(
  target: MemoryPartition,
  commit: PartitionCommit,
  moveOn: (undo: Undo) => void,
): CommitAnswer {
  const { epoch, nonce, offset, lastRecordId, incarnation } = commit
  if (epoch !== target.head.epoch || nonce !== target.head.nonce) return 'fenced'
  if (isRepeat(target.head, commit)) return 'committed'
  if (commit.previousOffset !== target.head.offset) return 'moved'
  const changes = commit.changes.map(({ key, value }) => ({ key, value: value?.slice() }))
  moveOn({ partition: commit.partition, head: target.head, values: change(target, changes) })
  target.head = { epoch, nonce, offset, lastRecordId, incarnation }
  return 'committed'
}

/** Changes values, and returns what takes them back. Values are never changed in place. */
function change(target: MemoryPartition, changes: readonly Change[]): readonly Change[] {
  const before: Change[] = []
  for (const { key, value } of changes) {
    const known = target.values.get(key)
    before.push({ key, value: known })
    if (value === undefined) {
      if (known !== undefined) target.keys.splice(placeOf(target.keys, key), 1)
      target.values.delete(key)
    } else {
      if (known === undefined) target.keys.splice(placeOf(target.keys, key), 0, key)
      target.values.set(key, value)
    }
  }
  return before.reverse()
}

/** Returns the index of the first key at or above `key`. */
function placeOf(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareKeys(keys[middle] ?? '', key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
