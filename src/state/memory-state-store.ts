/**
 * The state in memory: for what a worker folds beside the real state and throws away, for tests,
 * and for the simulator, which can take it back to what it was: `snapshot` and `restore` play a
 * store that lost its newest commits. Nothing asynchronous but resolved promises.
 */

import { assertCommitFits, compareKeys, rangeOf } from './key-order.ts'
import {
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
  readonly partitions: ReadonlyMap<number, MemoryPartition>
}

export interface MemoryStateStore extends StateStore {
  snapshot(): MemoryStateSnapshot
  restore(snapshot: MemoryStateSnapshot): void
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
  let partitions = new Map<number, MemoryPartition>()

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
      target.head = { ...target.head, epoch, nonce }
      return 'acquired'
    },
    async release(partition, epoch, nonce) {
      const target = partitionAt(partition)
      if (epoch === target.head.epoch && nonce === target.head.nonce) {
        target.head = { ...target.head, nonce: '' }
      }
    },
    async commit(commits) {
      for (const commit of commits) assertCommitFits(commit)
      return commits.map((commit) => applyCommit(partitionAt(commit.partition), commit))
    },
    async close() {},
    snapshot: () => ({ partitions: copyOf(partitions) }),
    restore(snapshot) {
      partitions = copyOf(snapshot.partitions)
    },
    count: (partition) => partitionAt(partition).keys.length,
  }
}

function applyCommit(target: MemoryPartition, commit: PartitionCommit): CommitAnswer {
  const { epoch, nonce, offset, lastRecordId, incarnation } = commit
  if (epoch !== target.head.epoch || nonce !== target.head.nonce) return 'fenced'
  if (isRepeat(target.head, commit)) return 'committed'
  if (commit.previousOffset !== target.head.offset) return 'moved'
  for (const { key, value } of commit.changes) {
    const isKnown = target.values.has(key)
    if (value === undefined) {
      if (isKnown) target.keys.splice(placeOf(target.keys, key), 1)
      target.values.delete(key)
    } else {
      if (!isKnown) target.keys.splice(placeOf(target.keys, key), 0, key)
      target.values.set(key, value.slice())
    }
  }
  target.head = { epoch, nonce, offset, lastRecordId, incarnation }
  return 'committed'
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

/** Values are never changed in place, so that only the tables are copied. */
function copyOf(partitions: ReadonlyMap<number, MemoryPartition>): Map<number, MemoryPartition> {
  return new Map(
    Array.from(partitions, ([partition, { head, keys, values }]) => [
      partition,
      { head, keys: [...keys], values: new Map(values) },
    ]),
  )
}
