/**
 * Recommends what people did next who did the same: VMIS-kNN (Kersbergen, Sprangers and Schelter,
 * "Serenade", SIGMOD 2022), kept up to date with every interaction instead of being rebuilt, with
 * the weights of STAN (Garg et al., SIGIR 2019).
 *
 * Each item knows its newest sessions, in a ring that grows to `neighbourPoolMax`. A query
 *   1. merges the rings of the own items, newest session first, until it has met
 *      `neighbourPoolMax` sessions;
 *   2. keeps the `neighbourCountMax` most similar ones: the sum of the weights of the items shared,
 *      over the root of the session's length;
 *   3. lets each speak for its items: similarity, lessened with the distance from the heaviest item
 *      shared, more so for what came before it, times a factor that favours rare items.
 *
 * The cost is bounded by the own items, the pool and the session length, however much is learned.
 */

import type { Algorithm, LearnedStep } from './algorithm.ts'
import { BlockArena, blockLengthFor, blockLengthMin } from './block-arena.ts'
import type { Candidates } from './candidates.ts'
import { queryItemCountMax } from './candidates.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import type { SessionStore } from './session-store.ts'
import { sessionLengthMax } from './session-store.ts'
import type { Transfer } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

export interface NeighbourOptions {
  /** Sessions looked at per query, and remembered per item. A power of two, rounded up. */
  readonly neighbourPoolMax: number
  /** Sessions that speak, of those looked at. */
  readonly neighbourCountMax: number
  /** How much a rare item is favoured: its factor is 1 + this x ln(sessions / sessions with it). */
  readonly rarityWeight: number
  /** Steps of a neighbour's session in which what an item counts falls to 1/e. */
  readonly distanceSteps: number
  /** What came before the shared item counts this much of what came after it. */
  readonly beforeShare: number
}

/** No session is this old. */
const noAge = 0x7fffffff

export class SessionNeighbours implements Algorithm {
  readonly #items: ItemTable
  readonly #sessions: SessionStore
  readonly #options: NeighbourOptions
  readonly #arena = new BlockArena()
  /**
   * Ring of session numbers by item slot: its place in the arena, its length (0: none), and its
   * pushes.
   */
  #offsets = new Int32Array(256)
  #pushes = new Int32Array(256)
  /** Sessions that ever held the item, by slot. */
  #frequencies = new Float64Array(256)
  /** Neighbour + 1 by place of the session; all 0 between queries. */
  #neighbourByPlace = new Int32Array(1024)
  readonly #places: Int32Array
  readonly #similarities: Float64Array
  readonly #firstShared: Uint8Array
  /** What an item counts by its distance after, and before, the shared one. */
  readonly #afterWeights = new Float64Array(sessionLengthMax)
  readonly #beforeWeights = new Float64Array(sessionLengthMax)
  readonly #sorted: Float64Array
  readonly #ages = new Int32Array(queryItemCountMax)
  readonly #taken = new Int32Array(queryItemCountMax)
  readonly #keys = new Int32Array(sessionLengthMax)

  constructor(items: ItemTable, sessions: SessionStore, options: NeighbourOptions) {
    const neighbourPoolMax = Math.max(blockLengthMin, powerOfTwoFrom(options.neighbourPoolMax))
    this.#items = items
    this.#sessions = sessions
    this.#options = { ...options, neighbourPoolMax }
    this.#places = new Int32Array(neighbourPoolMax)
    this.#similarities = new Float64Array(neighbourPoolMax)
    this.#firstShared = new Uint8Array(neighbourPoolMax)
    this.#sorted = new Float64Array(neighbourPoolMax)
    for (let distance = 0; distance < sessionLengthMax; distance++) {
      const weight = Math.exp(-distance / options.distanceSteps)
      this.#afterWeights[distance] = weight
      this.#beforeWeights[distance] = weight * options.beforeShare
    }
  }

  /** Notes that a session holds an item it had not held before. */
  learn({ slot, session, isNewItem }: Pick<LearnedStep, 'slot' | 'session' | 'isNewItem'>): void {
    if (!isNewItem) return
    if (slot >= this.#offsets.length) {
      this.#offsets = growTo(this.#offsets, slot + 1)
      this.#pushes = growTo(this.#pushes, slot + 1)
      this.#frequencies = growTo(this.#frequencies, slot + 1)
    }
    this.#frequencies[slot] = (this.#frequencies[slot] ?? 0) + 1
    const pushes = this.#pushes[slot] ?? 0
    let length = this.#ringLength(pushes)
    if (pushes === length && length < this.#options.neighbourPoolMax) {
      length = this.#growRing(slot, length)
    }
    this.#arena.ints[(this.#offsets[slot] ?? 0) + (pushes & (length - 1))] = session
    this.#pushes[slot] = pushes + 1 === length * 2 ? length : pushes + 1
  }

  /** Forgets an evicted item. */
  forget(slot: number): void {
    if (slot >= this.#pushes.length) return
    const length = this.#ringLength(this.#pushes[slot] ?? 0)
    if (length > 0) this.#arena.giveBack(this.#offsets[slot] ?? 0, length)
    this.#pushes[slot] = 0
    this.#frequencies[slot] = 0
  }

  /** Adds to `target` what the neighbours of the own items say. */
  score(ownItems: readonly OwnItem[], target: Candidates): void {
    this.#neighbourByPlace = growTo(this.#neighbourByPlace, this.#sessions.capacity)
    const count = this.#gather(ownItems)
    for (let index = 0; index < count; index++) {
      const place = this.#places[index] ?? 0
      this.#neighbourByPlace[place] = 0
      const root = Math.sqrt(Math.max(1, this.#sessions.lengthOf(place)))
      this.#similarities[index] = (this.#similarities[index] ?? 0) / root
    }
    this.#speak(count, ownItems, target)
    if (this.#options.rarityWeight === 0) return
    const began = Math.max(1, this.#sessions.beganCount)
    for (let index = 0; index < target.count; index++) {
      const frequency = Math.max(1, this.#frequencies[target.slots[index] ?? 0] ?? 1)
      target.scale(index, 1 + this.#options.rarityWeight * Math.log(began / frequency))
    }
  }

  transfer(through: Transfer): void {
    this.#arena.transfer(through)
    this.#offsets = through.array(this.#offsets)
    this.#pushes = through.array(this.#pushes)
    this.#frequencies = through.array(this.#frequencies)
  }

  #ringLength(pushes: number): number {
    return Math.min(blockLengthFor(pushes), this.#options.neighbourPoolMax)
  }

  #growRing(slot: number, length: number): number {
    const longer = Math.max(blockLengthMin, length * 2)
    const offset = this.#arena.borrow(longer)
    const before = this.#offsets[slot] ?? 0
    if (length > 0) {
      this.#arena.ints.copyWithin(offset, before, before + length)
      this.#arena.giveBack(before, length)
    }
    this.#offsets[slot] = offset
    return longer
  }

  /** Merges the rings, newest session first. Returns the number of different sessions met. */
  #gather(ownItems: readonly OwnItem[]): number {
    const { neighbourPoolMax } = this.#options
    for (const [index, own] of ownItems.entries()) {
      this.#taken[index] = 0
      this.#advance(index, own.slot)
    }
    let count = 0
    for (;;) {
      let newest = -1
      let age = noAge
      for (let index = 0; index < ownItems.length; index++) {
        const other = this.#ages[index] ?? noAge
        if (other >= age) continue
        age = other
        newest = index
      }
      const own = ownItems[newest]
      if (own === undefined) return count
      const place = this.#sessions.placeOf(this.#sessions.sessionOfAge(age))
      let neighbour = (this.#neighbourByPlace[place] ?? 0) - 1
      if (neighbour < 0) {
        if (count === neighbourPoolMax) return count
        neighbour = count
        count += 1
        this.#neighbourByPlace[place] = count
        this.#places[neighbour] = place
        this.#similarities[neighbour] = 0
        this.#firstShared[neighbour] = newest
      } else if (newest < (this.#firstShared[neighbour] ?? 0)) {
        this.#firstShared[neighbour] = newest
      }
      this.#similarities[neighbour] = (this.#similarities[neighbour] ?? 0) + own.weight
      this.#advance(newest, own.slot)
    }
  }

  /** Looks at the next older session of a ring; a session no longer held ends it. */
  #advance(index: number, slot: number): void {
    const pushes = this.#pushes[slot] ?? 0
    const length = this.#ringLength(pushes)
    const taken = this.#taken[index] ?? 0
    this.#ages[index] = noAge
    if (taken >= Math.min(pushes, length)) return
    const at = (this.#offsets[slot] ?? 0) + ((pushes - 1 - taken) & (length - 1))
    this.#taken[index] = taken + 1
    this.#ages[index] = this.#sessions.ageOf(this.#arena.ints[at] ?? 0) ?? noAge
  }

  /** Lets the most similar of `count` neighbours speak; among equals the newer ones. */
  #speak(count: number, ownItems: readonly OwnItem[], target: Candidates): void {
    const speakerCount = Math.min(count, this.#options.neighbourCountMax)
    const threshold = this.#similarityOfRank(speakerCount, count)
    let equalCount = speakerCount
    for (let index = 0; index < count; index++) {
      if ((this.#similarities[index] ?? 0) > threshold) equalCount -= 1
    }
    for (let index = 0; index < count; index++) {
      const similarity = this.#similarities[index] ?? 0
      if (similarity < threshold) continue
      if (similarity === threshold) {
        if (equalCount === 0) continue
        equalCount -= 1
      }
      const rank = this.#firstShared[index] ?? 0
      const keyCount = this.#sessions.readKeys(this.#places[index] ?? 0, this.#keys, false)
      const sharedAt = this.#findShared(keyCount, ownItems[rank]?.slot ?? -1)
      for (let at = 0; at < keyCount; at++) {
        const key = this.#keys[at] ?? 0
        if (!this.#items.isCurrent(key)) continue
        const weight =
          at <= sharedAt ? this.#afterWeights[sharedAt - at] : this.#beforeWeights[at - sharedAt]
        target.add(slotOf(key), rank, similarity * (weight ?? 0))
      }
    }
  }

  /** Returns where in the session read the shared item is; its oldest events may be overwritten. */
  #findShared(keyCount: number, slot: number): number {
    for (let at = 0; at < keyCount; at++) if (slotOf(this.#keys[at] ?? 0) === slot) return at
    return keyCount
  }

  /** Returns the similarity of rank `rank` (from 1) among `count` neighbours. */
  #similarityOfRank(rank: number, count: number): number {
    if (rank >= count) return 0
    const sorted = this.#sorted.subarray(0, count)
    sorted.set(this.#similarities.subarray(0, count))
    sorted.sort()
    return sorted[count - rank] ?? 0
  }
}
