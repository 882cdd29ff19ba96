/**
 * The state in Redis or a Redis Cluster. All keys of a partition share a hash tag, so that one
 * script commits them in one step; the commits of one call leave together.
 *
 *     {attune:7}head    hash: epoch, nonce, offset, last record's id, incarnation, commit number
 *     {attune:7}index   sorted set of the keys, all of score 0, so that they order by their bytes
 *     {attune:7}:KEY    string
 *
 * Redis may answer a commit and lose it: in a crash the last second or two, which its append-only
 * file had not got, in a failover what the replica had not got, by FLUSHALL everything. Whole
 * commits only, from the newest backwards, ownership too; the log makes them again. What the
 * processor sees then: an older head answers its commit with `moved`, one of another owner or none
 * with `fenced`, and what was read in between was older than what it knew. It must drop what it
 * remembers, and read again. `replicaCountMin` lets a commit wait until that many replicas have it,
 * which makes the loss in a failover unlikely. It does not exclude it: Redis may promote a replica
 * that was not among them.
 *
 * A commit without an answer may still arrive, after later ones. Each commit carries the number of
 * the one before it, counted in the head, and a late one finds another number. A number that is
 * lower than the one known shows a loss that the offset does not show: `moved`, once.
 *
 * Some versions of Redis can, after two crashes, hold a part of a commit (see the scripts). Such a
 * partition is refused with STORE_CORRUPT, by `head`, `acquire` and `commit`; its keys must go, so
 * that the log can make it again. `aof-load-truncated no` and `redis-check-aof --fix` prevent it.
 *
 * Not checked after the opening: the eviction policy. A server that evicts keys spoils the state.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { assertCommitFits, rangeOf } from './key-order.ts'
import { parseKeyPrefix } from './redis-client.ts'
import {
  openRedisLink,
  type RedisArgument,
  type RedisLink,
  type RedisLinkDeps,
  type RedisLinkOptions,
  textOf,
} from './redis-link.ts'
import { acquireScript, commitScript, releaseScript, scanScript } from './redis-state-scripts.ts'
import {
  type CommitAnswer,
  type Entry,
  type Head,
  noHead,
  type PartitionCommit,
  type StateStore,
} from './state-store.ts'

export interface RedisStateStoreOptions extends RedisLinkOptions {
  /** Begins every key; letters, digits, `-`, `_` and `.`. */
  readonly keyPrefix?: string
}

/** Bounds how long one scan holds up everybody else. */
const scanCountMax = 1000
/** Another committer under the same epoch and nonce is a test; one turn is enough for it. */
const renumberCountMax = 3

const headFields = ['epoch', 'nonce', 'offset', 'id', 'incarnation', 'number', 'begun']

interface PartitionKeys {
  readonly head: string
  readonly index: string
  /** What each key of a value begins with. */
  readonly common: string
}

/** Connects, and checks the server's settings. */
export async function openRedisStateStore(
  deps: RedisLinkDeps,
  options: RedisStateStoreOptions,
): Promise<StateStore> {
  const keyPrefix = parseKeyPrefix(options.keyPrefix)
  return new RedisStateStore(await openRedisLink(deps, options), { ...options, keyPrefix })
}

class RedisStateStore implements StateStore {
  readonly #link: RedisLink
  readonly #options: RedisStateStoreOptions
  /** Number of the newest commit that was answered to us, by partition. */
  readonly #numbers = new Map<number, number>()
  readonly #keys = new Map<number, PartitionKeys>()

  constructor(link: RedisLink, options: RedisStateStoreOptions) {
    this.#link = link
    this.#options = options
  }

  async head(partition: number): Promise<Head> {
    const attempted = `read the head of partition ${partition}`
    const { head } = this.#keysOf(partition)
    const reply = await this.#link.call(attempted, 'hmget', [head, ...headFields])
    return decodeHead(reply, attempted)
  }

  async get(
    partition: number,
    keys: readonly string[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    if (keys.length === 0) return []
    const { common } = this.#keysOf(partition)
    const attempted = `read state of partition ${partition}`
    const names = keys.map((key) => common + key)
    const reply = await this.#link.call(attempted, 'mget', names)
    return decodeValues(reply as readonly (Buffer | null)[])
  }

  async scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]> {
    const { index, common } = this.#keysOf(partition)
    const attempted = `scan state of partition ${partition}`
    const entries: Entry[] = []
    for (let last = after; entries.length < countMax; ) {
      const { from, to } = rangeOf(prefix, last)
      const count = Math.min(countMax - entries.length, scanCountMax)
      const range = [`[${from}`, `(${to}`, `${count}`, common]
      const reply = await this.#link.run(attempted, scanScript, [index], range)
      const found = decodeScan(reply, attempted)
      for (const entry of found) entries.push(entry)
      last = found.at(-1)?.key ?? ''
      if (found.length < count) break
    }
    return entries
  }

  async acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'> {
    const { head } = this.#keysOf(partition)
    const attempted = `acquire partition ${partition}`
    const reply = await this.#link.run(attempted, acquireScript, [head], [`${epoch}`, nonce])
    const { answer, number } = decodeAnswer(reply, attempted)
    this.#numbers.set(partition, number)
    assert(answer === 'acquired' || answer === 'fenced', 'Redis answers an acquire')
    return answer
  }

  async release(partition: number, epoch: number, nonce: string): Promise<void> {
    const { head } = this.#keysOf(partition)
    const attempted = `release partition ${partition}`
    await this.#link.run(attempted, releaseScript, [head], [`${epoch}`, nonce])
  }

  async commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]> {
    for (const commit of commits) assertCommitFits(commit)
    // All are answered before one failure is told: none of this call is under way after it.
    const results = await Promise.allSettled(commits.map((commit) => this.#commitOne(commit)))
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    })
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  async #commitOne(commit: PartitionCommit): Promise<CommitAnswer> {
    const { partition } = commit
    const keys = this.#keysOf(partition)
    // A later change of a key is over the earlier.
    const changes = new Map(commit.changes.map(({ key, value }) => [key, value]))
    const put: string[] = []
    const values: Uint8Array[] = []
    const deleted: string[] = []
    for (const [key, value] of changes) {
      if (value === undefined) {
        deleted.push(keys.common + key)
      } else {
        put.push(keys.common + key)
        values.push(value)
      }
    }
    const names = [keys.head, keys.index, ...put, ...deleted]
    const attempted = `commit state of partition ${partition}`
    for (let count = 0; count < renumberCountMax; count++) {
      const guard = guardOf(commit, this.#numbers.get(partition))
      const rest = [`${put.length}`, `${Buffer.byteLength(keys.common)}`, ...values]
      const parameters = [...guard, ...rest]
      const reply = await this.#link.run(attempted, commitScript, names, parameters, 'replicated')
      const { answer, number } = decodeAnswer(reply, attempted)
      this.#numbers.set(partition, number)
      if (answer === 'committed' || answer === 'fenced' || answer === 'moved') return answer
      assert(answer === 'renumbered', 'Redis answers a commit')
    }
    return 'moved'
  }

  #keysOf(partition: number): PartitionKeys {
    const known = this.#keys.get(partition)
    if (known !== undefined) return known
    const tag = `{${this.#options.keyPrefix}:${partition}}`
    const made = { head: `${tag}head`, index: `${tag}index`, common: `${tag}:` }
    this.#keys.set(partition, made)
    return made
  }
}

/** The part of a commit that the script compares before it writes. */
function guardOf(commit: PartitionCommit, number: number | undefined): readonly RedisArgument[] {
  const { epoch, nonce, previousOffset, offset, lastRecordId, incarnation } = commit
  const texts = [epoch, nonce, previousOffset, offset, lastRecordId, incarnation, number ?? '']
  return [...texts.map(String), previousOffset < offset ? '1' : '0']
}

function decodeHead(reply: unknown, attempted: string): Head {
  const fields = (reply as readonly unknown[]).map(textOf)
  const [epoch = '', nonce = '', offset = '', lastRecordId = '', incarnation = ''] = fields
  if (fields[5] !== fields[6]) throw tornState(attempted)
  if (epoch === '') return noHead
  return { epoch: Number(epoch), nonce, offset: Number(offset), lastRecordId, incarnation }
}

/**
 * A reply is a piece of what came over the socket, which it would keep alive. All values of a call
 * are copied into one buffer: one for each would cost more than reading it.
 */
function decodeValues(replies: readonly (Buffer | null)[]): readonly (Uint8Array | undefined)[] {
  const bytes = replies.reduce((sum, reply) => sum + (reply?.length ?? 0), 0)
  const all = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  return replies.map((reply) => {
    if (reply === null) return undefined
    const from = at
    at += reply.copy(all, from)
    return all.subarray(from, at)
  })
}

function decodeScan(reply: unknown, attempted: string): readonly Entry[] {
  const [keys = [], values = []] = reply as readonly (readonly (Buffer | null)[])[]
  const decoded = decodeValues(values)
  return keys.map((key, at) => {
    const value = decoded[at]
    if (value === undefined) throw new OperatingError('STORE_CORRUPT', `${attempted}: no value`)
    return { key: textOf(key), value }
  })
}

function decodeAnswer(
  reply: unknown,
  attempted: string,
): { readonly answer: string; readonly number: number } {
  const [answer, number] = reply as readonly unknown[]
  if (textOf(answer) === 'torn') throw tornState(attempted)
  return { answer: textOf(answer), number: Number(number) }
}

function tornState(attempted: string): OperatingError {
  return new OperatingError('STORE_CORRUPT', `${attempted}: it holds a part of a commit`)
}
