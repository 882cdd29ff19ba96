/**
 * Sharing shards, and so partitions, out among processes, by leases in the table.
 *
 * An owner moves its lease's counter every `renewMs`. Whoever sees a counter that does not move for
 * `leaseMs`, on its own monotonic clock, takes the lease; no two clocks are compared. An owner that
 * could not renew for so long has lost it, and says so by itself. Each takes at most its part of
 * the shards, the free ones first; then it asks the one with the most for one at a time, and that
 * one ends its work on it and gives it up a look later. A lease says who should own, not who does:
 * the state's head decides.
 *
 * When a shard is split or merged, the worker that has it takes the children's leases with it.
 */

import { toOperatingError } from './kinesis-error.ts'
import { type KinesisLogDeps, randomOf } from './kinesis-options.ts'
import type { KinesisStream } from './kinesis-stream.ts'
import type { Lease } from './kinesis-table.ts'

export interface LeaseOptions {
  readonly leaseMs: number
  readonly renewMs: number
}

export interface LeaseNotes {
  /** Notes how far the partitions of a shard were counted: now and then, or at once. */
  note(shardId: string, isAtOnce: boolean): Promise<void>
}

interface Seen {
  readonly counter: number
  readonly owner: string
  /** Monotonic time at which it had moved last. */
  readonly movedMs: number
}

const shardLookMs = 30_000
const ownerBytes = 8
const leaveMsMax = 3_000

/** Yields the partitions to own whenever they change; gives all up when `signal` aborts. */
export async function* assignByLease(
  deps: KinesisLogDeps,
  given: { readonly stream: KinesisStream; readonly notes: LeaseNotes },
  options: LeaseOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly number[]> {
  const { clock, logger } = deps
  const worker = new LeaseWorker(deps, given, options)
  let known: string | undefined
  let isAway = false
  try {
    while (!signal.aborted) {
      const beganMs = clock.monotonicMs()
      try {
        await worker.turn()
        isAway = false
      } catch (error) {
        const ours = toOperatingError(error, 'share the shards out')
        if (!ours.retryable) throw ours
        if (!isAway) logger.warn({ says: ours.message }, 'leases cannot be renewed')
        isAway = true
      }
      const partitions = worker.partitions()
      // Before the first turn succeeds nothing is known, and nothing is said.
      const isKnown = known !== undefined || !isAway
      if (isKnown && partitions.join() !== known) {
        known = partitions.join()
        yield partitions
      }
      await clock.sleep(options.renewMs - (clock.monotonicMs() - beganMs), signal)
    }
  } finally {
    const late = new AbortController()
    await Promise.race([worker.leave(), clock.sleep(leaveMsMax, late.signal)])
    late.abort()
  }
}

class LeaseWorker {
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  readonly #notes: LeaseNotes
  readonly #options: LeaseOptions
  readonly #id: string
  /** What is ours, with the monotonic time before which it was surely renewed. */
  readonly #mine = new Map<string, { readonly lease: Lease; readonly renewedMs: number }>()
  /** Those of them that somebody asked for: not told any more, and released at the next look. */
  readonly #leaving = new Set<string>()
  readonly #seen = new Map<string, Seen>()
  #lookedMs: number

  constructor(
    deps: KinesisLogDeps,
    given: { readonly stream: KinesisStream; readonly notes: LeaseNotes },
    options: LeaseOptions,
  ) {
    this.#deps = deps
    this.#stream = given.stream
    this.#notes = given.notes
    this.#options = options
    this.#id = Buffer.from(randomOf(deps).bytes(ownerBytes)).toString('hex')
    this.#lookedMs = deps.clock.monotonicMs()
  }

  /** Returns the partitions of the shards that are ours and surely nobody else's. */
  partitions(): readonly number[] {
    const nowMs = this.#deps.clock.monotonicMs()
    const { map } = this.#stream
    const partitions: number[] = []
    for (const [shardId, { renewedMs }] of this.#mine) {
      if (this.#leaving.has(shardId)) continue
      if (nowMs - renewedMs < this.#options.leaseMs) partitions.push(...map.partitionsOf(shardId))
    }
    return partitions.sort((one, other) => one - other)
  }

  async turn(): Promise<void> {
    this.#stream.check()
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs - this.#lookedMs >= shardLookMs) {
      this.#lookedMs = nowMs
      await this.#stream.refresh()
    }
    const leases = await this.#stream.table.loadLeases()
    // From here on: what a lease was when it was asked for, it may not have been for long.
    this.#watch(leases, this.#deps.clock.monotonicMs())
    await Promise.all(leases.map((lease) => this.#renew(lease)))
    await this.#followShards(leases)
    await this.#balance(leases)
    await Promise.all([...this.#mine.keys()].map((shardId) => this.#notes.note(shardId, false)))
  }

  /** Notes the places and gives everything up; what cannot be told is missed after `leaseMs`. */
  async leave(): Promise<void> {
    const ends = [...this.#mine.values()].map(({ lease }) => this.#release(lease))
    await Promise.allSettled(ends)
  }

  /** Takes note of which counters move. */
  #watch(leases: readonly Lease[], nowMs: number): void {
    for (const { shardId, counter, owner } of leases) {
      const seen = this.#seen.get(shardId)
      const isSame = seen?.counter === counter && seen.owner === owner
      if (!isSame) this.#seen.set(shardId, { counter, owner, movedMs: nowMs })
    }
    for (const shardId of this.#mine.keys()) {
      const isOurs = leases.some((lease) => lease.shardId === shardId && lease.owner === this.#id)
      if (!isOurs) this.#mine.delete(shardId)
    }
  }

  async #renew(lease: Lease): Promise<void> {
    const { shardId, wantedBy } = lease
    if (lease.owner !== this.#id) return
    const isWanted = wantedBy !== '' && wantedBy !== this.#id
    if (isWanted && this.#leaving.has(shardId)) {
      await this.#release(lease)
      return
    }
    // First the work on it ends: until the next look it is kept from others.
    if (isWanted) this.#leaving.add(shardId)
    const beganMs = this.#deps.clock.monotonicMs()
    const renewed = await this.#stream.table.updateLease(lease, {})
    if (renewed) this.#mine.set(shardId, { lease: renewed, renewedMs: beganMs })
    else this.#mine.delete(shardId)
  }

  /** Gives a lease up; who asked for it takes it. */
  async #release(lease: Lease): Promise<void> {
    const { shardId } = lease
    const { table } = this.#stream
    this.#mine.delete(shardId)
    this.#leaving.delete(shardId)
    await this.#notes.note(shardId, true)
    if (await table.updateLease(lease, { owner: '' })) return
    // Somebody took it, or our own renewal of a moment ago was under way.
    const newest = (await table.loadLeases()).find((each) => each.shardId === shardId)
    if (newest?.owner === this.#id) await table.updateLease(newest, { owner: '' })
  }

  /** Makes leases for new shards, and deletes those of shards that have ended. */
  async #followShards(leases: readonly Lease[]): Promise<void> {
    const { table, map } = this.#stream
    const has = (shardId: string): boolean => leases.some((each) => each.shardId === shardId)
    const isAlive = (shardId: string): boolean =>
      leases.some((each) => each.shardId === shardId && !this.#isFree(each))
    const missing = map.open.filter(({ id }) => !has(id))
    for (const { id, parentIds } of missing) {
      const isHeir = parentIds.some((parentId) => this.#mine.has(parentId))
      if (!isHeir && parentIds.some(isAlive)) continue
      const beganMs = this.#deps.clock.monotonicMs()
      const owner = isHeir ? this.#id : ''
      const isMade = await table.createLease(id, owner)
      if (!isMade || !isHeir) continue
      const lease = { shardId: id, owner, counter: 1, wantedBy: '' }
      this.#mine.set(id, { lease, renewedMs: beganMs })
    }
    if (missing.length > 0) return
    for (const { shardId } of leases) {
      if (map.open.some(({ id }) => id === shardId)) continue
      this.#mine.delete(shardId)
      await table.deleteLease(shardId)
    }
  }

  async #balance(before: readonly Lease[]): Promise<void> {
    const { map, table } = this.#stream
    const open = new Set(map.open.map(({ id }) => id))
    const leases = before.filter(({ shardId }) => open.has(shardId))
    const counts = new Map<string, number>([[this.#id, this.#mine.size]])
    for (const lease of leases) {
      const { owner, wantedBy } = lease
      if (owner !== this.#id && !this.#isFree(lease)) {
        counts.set(owner, (counts.get(owner) ?? 0) + 1)
      }
      // Who waits for its first lease is a worker too.
      if (wantedBy !== '' && !counts.has(wantedBy)) counts.set(wantedBy, 0)
    }
    const part = Math.ceil(open.size / counts.size)
    for (const lease of leases) {
      if (this.#mine.size >= part) return
      const isMine = this.#mine.has(lease.shardId)
      if (isMine || !this.#isFree(lease) || this.#isReserved(lease)) continue
      const beganMs = this.#deps.clock.monotonicMs()
      const taken = await table.updateLease(lease, { owner: this.#id, wantedBy: '' })
      if (taken) this.#mine.set(lease.shardId, { lease: taken, renewedMs: beganMs })
    }
    if (this.#mine.size >= part || leases.some(({ wantedBy }) => wantedBy === this.#id)) return
    const [most] = [...counts].sort((one, other) => other[1] - one[1])
    if (most === undefined || most[0] === this.#id || most[1] <= part) return
    const wanted = leases.find(({ owner, wantedBy }) => owner === most[0] && wantedBy === '')
    if (wanted) await table.updateLease(wanted, { wantedBy: this.#id })
  }

  /** Tells whether nobody has a lease, or its owner was not heard of for too long. */
  #isFree({ shardId, owner }: Lease): boolean {
    return owner === '' || this.#isStill(shardId)
  }

  /** One that was given up for another worker waits for that one, for a while. */
  #isReserved({ shardId, owner, wantedBy }: Lease): boolean {
    const isForOther = wantedBy !== '' && wantedBy !== this.#id
    return owner === '' && isForOther && !this.#isStill(shardId)
  }

  #isStill(shardId: string): boolean {
    const seen = this.#seen.get(shardId)
    const nowMs = this.#deps.clock.monotonicMs()
    return seen !== undefined && nowMs - seen.movedMs >= this.#options.leaseMs
  }
}
