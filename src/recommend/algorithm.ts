/**
 * The interface of the algorithms that a blend is made of. Each learns from the same steps, and
 * says of a query how much speaks for which item; the blend brings what they say to one scale. All
 * know items by slot and sessions by number, so that they share the tables of both.
 *
 * An algorithm is a pure data structure: no clock, no chance, and bounded memory and work, whatever
 * it is fed with.
 */

import type { Candidates } from './candidates.ts'
import type { OwnItem, OwnPurchase } from './own-items.ts'
import type { InteractionKind } from './recommender.ts'
import type { Transfer } from './transfer.ts'

/** One interaction, its item and session found. The object is used again for the next step. */
export interface LearnedStep {
  readonly profileId: string
  readonly key: number
  readonly slot: number
  readonly kind: InteractionKind
  readonly atMs: number
  readonly session: number
  /** Whether the session had not held the item. */
  readonly isNewItem: boolean
  /** Steps of the session since it last met the item: 0 where it is met again at once, -1 never. */
  readonly stepsBack: number
  /** The session's newest keys, each once, that of this step first. */
  readonly newestKeys: Int32Array
  /** How many of them there are; 1 where the step only repeats the one before. */
  readonly keyCount: number
}

/** Whom an algorithm is asked about. */
export interface Asked {
  readonly nowMs: number
  /** Newest first; looked for where an algorithm asks. */
  purchases(): readonly OwnPurchase[]
}

/** Profiles that are to leave no trace of their own. */
export interface Erasure {
  /** `hashText` of their ids. */
  readonly profileHashes: ReadonlySet<number>
  /** Numbers of their sessions, as far as they are remembered. */
  readonly sessions: readonly number[]
}

export interface Algorithm {
  /** Absent where it reads what another learns. */
  learn?(step: LearnedStep): void
  /** Forgets an item whose slot is given to another. */
  forget(slot: number): void
  /**
   * Adds to `target` what speaks for which item, in any unit of its own; `ownItems` are the
   * heaviest first.
   */
  score(ownItems: readonly OwnItem[], target: Candidates, asked: Asked): void
  /** Forgets what it knows of profiles; absent where it knows nothing of any. */
  erase?(erasure: Erasure): void
  /** Hands over what it has learned; see `transfer.ts`. */
  transfer(through: Transfer): void
}
