/**
 * A state store with a fast copy before it: the primary has everything and decides everything, the
 * copy answers what the owner of a partition reads.
 *
 * Only the owner uses the copy, through the one store that acquired the partition; everybody else
 * reads the primary, and so sees every commit that was answered. A copy has a tag, which changes
 * with each commit and never comes again. The owner knows the tag of its newest commit. A copy with
 * another tag is not used: lost, rolled back or written by somebody else, it makes no difference.
 * What the copy lacks comes from the primary, and fills it while the tag is the same. `scan` and
 * `head` go to the primary.
 *
 * Order of effects, acquire: the primary; then the copy is emptied under a new tag, or taken over
 * where a release sealed it at this very head. Commit: the primary; the copy, from the tag before
 * to the next; the answer. Release: the primary; then the seal.
 *
 *     ended before            what it leaves                   what is read then
 *     the primary's commit    nothing                          as before
 *     the copy's commit       a copy under the tag before;     primary: this owner forgets the
 *                             the commit was not answered      tag, the next empties the copy
 *     the answer              both have it                     the same from both
 *     the seal of a release   a copy that nobody takes over    primary
 *     the loss of the copy    any tag but the owner's          primary, then a new copy
 *
 * An owner that was fenced without knowing would go on reading its copy. So an owner asks the
 * primary again, once `leaseMs` have passed since it last showed that it owns, before it uses the
 * copy; and a new owner that cannot reach the copy answers no commit before that time is over.
 * That counts on monotonic clocks that run at the same rate within a quarter, and on one store for
 * each owner's nonce.
 */

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import { type CopyDeps, CopyOwner } from './copy-owner.ts'
import type { StateCopy } from './state-copy.ts'
import type { CommitAnswer, Entry, Head, PartitionCommit, StateStore } from './state-store.ts'

export interface CopiedStateStoreDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  /** Closed with this store. */
  readonly primary: StateStore
  readonly copy: StateCopy
}

export interface CopiedStateStoreOptions {
  /** How long an owner may use its copy without asking the primary whether it still owns. */
  readonly leaseMs?: number
  /** A copy that failed is begun anew at most so often. */
  readonly beginPauseMs?: number
}

const leaseMsDefault = 2000
const beginPauseMsDefault = 1000
/** Clocks may run apart by a quarter. */
const leaseMargin = 1.25
/** Fills under way; more are left out, since the next read can fill as well. */
const fillCountMax = 256

export function createCopiedStateStore(
  deps: CopiedStateStoreDeps,
  options: CopiedStateStoreOptions = {},
): StateStore {
  const { leaseMs = leaseMsDefault, beginPauseMs = beginPauseMsDefault } = options
  return new CopiedStateStore({ ...deps, beginPauseMs }, leaseMs)
}

class CopiedStateStore implements StateStore {
  readonly #deps: CopiedStateStoreDeps & CopyDeps
  readonly #leaseMs: number
  readonly #owners = new Map<number, CopyOwner>()
  /** Fills and new beginnings that nobody waits for. */
  readonly #underWay = new Set<Promise<void>>()

  constructor(deps: CopiedStateStoreDeps & CopyDeps, leaseMs: number) {
    this.#deps = deps
    this.#leaseMs = leaseMs
  }

  head(partition: number): Promise<Head> {
    return this.#deps.primary.head(partition)
  }

  scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]> {
    return this.#deps.primary.scan(partition, prefix, after, countMax)
  }

  async get(
    partition: number,
    keys: readonly string[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const { primary, copy } = this.#deps
    const owner = this.#owners.get(partition)
    if (keys.length === 0 || owner === undefined || !(await this.#isInForce(owner))) {
      return await primary.get(partition, keys)
    }
    const found = await owner.read(this.#deps, keys)
    if (found === undefined) {
      this.#inBackground(() => owner.begin(this.#deps))
      return await primary.get(partition, keys)
    }
    const { tag, values } = found
    const missing = keys.filter((_, at) => values[at] === undefined)
    if (missing.length === 0) return values.map((value) => value ?? undefined)
    const read = await primary.get(partition, missing)
    const entries = missing.map((key, at) => ({ key, value: copyOf(read[at]) }))
    if (this.#underWay.size < fillCountMax) {
      this.#inBackground(() => copy.fill(partition, tag, entries))
    }
    let at = 0
    return values.map((value) => (value === undefined ? read[at++] : (value ?? undefined)))
  }

  async acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'> {
    const { primary, clock } = this.#deps
    const before = await primary.head(partition)
    const startMs = clock.monotonicMs()
    const answer = await primary.acquire(partition, epoch, nonce)
    if (answer === 'fenced') {
      if (this.#owners.get(partition)?.isBy(epoch, nonce) === true) this.#owners.delete(partition)
      return 'fenced'
    }
    const owner = new CopyOwner(partition, { ...before, epoch, nonce }, startMs)
    owner.safeAtMs = clock.monotonicMs() + this.#leaseMs * leaseMargin
    this.#owners.set(partition, owner)
    // Only the next epoch after a release has nobody between.
    const isNext = before.nonce === '' && epoch === before.epoch + 1
    await owner.begin(this.#deps, isNext ? before : undefined)
    return 'acquired'
  }

  async release(partition: number, epoch: number, nonce: string): Promise<void> {
    const owner = this.#owners.get(partition)
    const isOwn = owner?.isBy(epoch, nonce) === true
    if (isOwn) this.#owners.delete(partition)
    await this.#deps.primary.release(partition, epoch, nonce)
    if (isOwn) await owner.seal(this.#deps)
  }

  async commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]> {
    const { primary, clock } = this.#deps
    const owners = commits.map((commit) => {
      const owner = this.#owners.get(commit.partition)
      return owner?.isBy(commit.epoch, commit.nonce) === true ? owner : undefined
    })
    for (const owner of owners) owner?.enterCommit()
    try {
      const startMs = clock.monotonicMs()
      const answers = await primary.commit(commits).catch((error: unknown) => {
        // The primary may have taken them; the copy has not.
        for (const owner of owners) owner?.noteUnclear()
        throw error
      })
      await Promise.all(
        commits.map(async (commit, at) => {
          await this.#follow(commit, answers[at] ?? 'moved', { owner: owners[at], startMs })
        }),
      )
      return answers
    } finally {
      for (const owner of owners) owner?.leaveCommit()
    }
  }

  async close(): Promise<void> {
    this.#owners.clear()
    await Promise.all(this.#underWay)
    await this.#deps.copy.close()
    await this.#deps.primary.close()
  }

  /** Brings the copy to where the primary is, before the commit is answered. */
  async #follow(
    commit: PartitionCommit,
    answer: CommitAnswer,
    { owner, startMs }: { readonly owner: CopyOwner | undefined; readonly startMs: number },
  ): Promise<void> {
    if (owner === undefined) return
    if (answer === 'fenced' && this.#owners.get(commit.partition) === owner) {
      this.#owners.delete(commit.partition)
    }
    if (answer !== 'committed') return owner.discard()
    owner.confirmedAtMs = startMs
    const hasReached = await owner.apply(this.#deps, commit)
    const { clock } = this.#deps
    if (!hasReached) await clock.sleep(owner.safeAtMs - clock.monotonicMs())
  }

  /** Tells whether the owner still owns, which it must have shown within the lease. */
  async #isInForce(owner: CopyOwner): Promise<boolean> {
    const { primary, clock } = this.#deps
    const startMs = clock.monotonicMs()
    if (startMs - owner.confirmedAtMs <= this.#leaseMs) return true
    const { epoch, nonce } = await primary.head(owner.partition)
    if (owner.isBy(epoch, nonce)) {
      owner.confirmedAtMs = Math.max(owner.confirmedAtMs, startMs)
      return true
    }
    if (this.#owners.get(owner.partition) === owner) this.#owners.delete(owner.partition)
    return false
  }

  /** Does what only serves speed; a failure shows at the next use of the copy. */
  #inBackground(work: () => Promise<unknown>): void {
    const done = work()
      .catch((error: unknown) => {
        this.#deps.logger.warn({ reason: String(error) }, 'the copy of the state was not filled')
      })
      .then(() => {
        this.#underWay.delete(done)
      })
    this.#underWay.add(done)
  }
}

/** The caller may change what it was given. */
function copyOf(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : new Uint8Array(value)
}
