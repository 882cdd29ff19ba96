/**
 * What the owner of a partition knows of its copy: the tag it has, if it may be used.
 *
 * The copy is used under the tag of the newest commit, or of the one that is just being applied:
 * the primary has that one. Whatever is unclear (a call that failed, a commit without an answer,
 * two commits at once, another tag) ends its use; a new one is begun under a new tag.
 */

import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { CopiedValue, StateCopy } from './state-copy.ts'
import { type Head, isRepeat, type PartitionCommit } from './state-store.ts'

export interface CopyDeps {
  readonly copy: StateCopy
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  /** A copy that failed is begun anew at most so often. */
  readonly beginPauseMs: number
}

export interface CopiedValues {
  readonly tag: string
  readonly values: readonly CopiedValue[]
}

const tagBytes = 12

export class CopyOwner {
  readonly partition: number
  /** When a call began that showed that this owner owns. */
  confirmedAtMs: number
  /** When a former owner has surely stopped to use its copy. */
  safeAtMs = 0
  /** The primary's head after the newest commit that was answered. */
  #head: Head
  /** Of the copy that may be used; undefined while there is none. */
  #tag: string | undefined
  /** Set while a commit that the primary has is being applied. */
  #nextTag: string | undefined
  /** Begins each tag of one copy; new with each beginning. */
  #lineage = ''
  #number = 0
  #isBeginning = false
  #beganAtMs = Number.NEGATIVE_INFINITY
  #commitCount = 0
  /** Set when the primary did not answer a commit, until it answers the next one. */
  #isUnclear = false

  constructor(partition: number, head: Head, confirmedAtMs: number) {
    this.partition = partition
    this.#head = head
    this.confirmedAtMs = confirmedAtMs
  }

  isBy(epoch: number, nonce: string): boolean {
    return this.#head.epoch === epoch && this.#head.nonce === nonce
  }

  discard(): void {
    this.#tag = undefined
  }

  /** Notes that the primary may have a commit that is not in the copy. */
  noteUnclear(): void {
    this.#isUnclear = true
    this.discard()
  }

  enterCommit(): void {
    this.#commitCount++
    // Which of two came first is the primary's to know.
    if (this.#commitCount > 1) this.discard()
  }

  leaveCommit(): void {
    this.#commitCount--
  }

  /** Begins a copy, or takes over the one sealed at `sealed`, unless it has just failed. */
  async begin(deps: CopyDeps, sealed?: Head): Promise<void> {
    const isSoon = deps.clock.monotonicMs() - this.#beganAtMs < deps.beginPauseMs
    if (this.#tag === undefined && !isSoon) await this.#begin(deps, sealed)
  }

  /** Returns undefined where the copy cannot be used. */
  async read(deps: CopyDeps, keys: readonly string[]): Promise<CopiedValues | undefined> {
    const tag = this.#tag
    if (tag === undefined) return undefined
    const found = await this.#unlessAway(deps, () => deps.copy.get(this.partition, keys))
    const tags = [tag, this.#tag, this.#nextTag]
    if (found !== undefined && tags.includes(found.tag)) return found
    if (this.#tag === tag) this.discard()
    return undefined
  }

  /**
   * Brings the copy over a commit that the primary has. Answers whether nobody can read what was
   * before it from any copy.
   */
  async apply(deps: CopyDeps, commit: PartitionCommit): Promise<boolean> {
    const isKnown = isRepeat(this.#head, commit)
    const { epoch, nonce, offset, lastRecordId, incarnation, changes } = commit
    this.#head = { epoch, nonce, offset, lastRecordId, incarnation }
    // What the primary took when it did not answer may have been something else.
    if (this.#isUnclear) this.discard()
    this.#isUnclear = false
    const tag = this.#tag
    // Emptying a copy ends what others read from it, like a commit to it.
    if (tag === undefined) {
      return deps.clock.monotonicMs() < this.safeAtMs && (await this.#begin(deps))
    }
    if (isKnown) return true
    const next = this.#newTag()
    this.#nextTag = next
    const isApplied = await this.#unlessAway(deps, () =>
      deps.copy.apply(this.partition, tag, { tag: next, changes }),
    )
    this.#nextTag = undefined
    this.#tag = isApplied === true && this.#tag === tag ? next : undefined
    return isApplied !== undefined
  }

  /** Says of the copy that it is whole at the head that was released. */
  async seal(deps: CopyDeps): Promise<void> {
    const tag = this.#tag
    if (tag === undefined || this.#commitCount > 0) return
    this.discard()
    // Unsealed it is emptied by the next owner.
    await this.#unlessAway(deps, () => deps.copy.retag(this.partition, tag, sealOf(this.#head)))
  }

  /** Answers whether nobody can read from a copy any more that was there before. */
  async #begin(deps: CopyDeps, sealed?: Head): Promise<boolean> {
    if (this.#isBeginning) return false
    this.#isBeginning = true
    this.#beganAtMs = deps.clock.monotonicMs()
    this.#lineage = Buffer.from(deps.random.bytes(tagBytes)).toString('base64url')
    const tag = this.#newTag()
    const isBegun = await this.#unlessAway(deps, async () => {
      const { partition } = this
      if (sealed === undefined || !(await deps.copy.retag(partition, sealOf(sealed), tag))) {
        await deps.copy.begin(partition, tag)
      }
      return true
    })
    this.#isBeginning = false
    if (isBegun !== true) return false
    // Of two commits under way the copy could get the older one last.
    if (this.#commitCount <= 1) this.#tag = tag
    return true
  }

  /** Returns undefined where the copy fails: the primary has everything. */
  async #unlessAway<Result>(
    { logger }: CopyDeps,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error
      const { code, message } = error
      logger.warn({ partition: this.partition, code, message }, 'the copy of the state failed')
      return undefined
    }
  }

  #newTag(): string {
    this.#number++
    return `${this.#lineage}:${this.#number}`
  }
}

function sealOf({ epoch, offset, lastRecordId, incarnation }: Head): string {
  return `sealed:${epoch}:${offset}:${lastRecordId}:${incarnation}`
}
