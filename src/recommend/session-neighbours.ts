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
import { growTo, powerOfTwoFrom, selectLargest } from './typed-array.ts'

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

const recordLength = 4
const pushesField = 1
const frequencyField = 2

/** No session is this old. */
const noAge = 0x7fffffff

export class SessionNeighbours implements Algorithm {
  readonly #items: ItemTable
  readonly #sessions: SessionStore
  readonly #options: NeighbourOptions
  readonly #neighbourPoolMax: number
  readonly #arena = new BlockArena()
  /**
   * Four numbers by item slot: of its ring of session numbers the place in the arena and the
   * pushes, which tell its length; and the sessions that ever held the item.
   */
  #records = new Int32Array(256 * recordLength)
  /** Neighbour + 1 at the first free place from the hash of its session's place. */
  readonly #neighbourByHash: Int32Array
  readonly #hashShift: number
  readonly #places: Int32Array
  readonly #similarities: Float64Array
  readonly #firstShared: Uint8Array
  /** What an item counts by its distance after, and before, the shared one. */
  readonly #afterWeights = new Float64Array(sessionLengthMax)
  readonly #beforeWeights = new Float64Array(sessionLengthMax)
  readonly #ranked: Float64Array
  readonly #ages = new Int32Array(queryItemCountMax)
  readonly #taken = new Int32Array(queryItemCountMax)
  readonly #keys = new Int32Array(sessionLengthMax)
  /** Of small numbers, looked up rather than computed a thousand times in a query. */
  readonly #roots = Float64Array.from({ length: sessionLengthMax + 1 }, (_, count) =>
    Math.sqrt(count),
  )
  readonly #logs = Float64Array.from({ length: 4096 }, (_, count) => Math.log(count))
  #logOfBegan = 0

  constructor(items: ItemTable, sessions: SessionStore, options: NeighbourOptions) {
    const neighbourPoolMax = Math.max(blockLengthMin, powerOfTwoFrom(options.neighbourPoolMax))
    this.#items = items
    this.#sessions = sessions
    this.#options = options
    this.#neighbourPoolMax = neighbourPoolMax
    this.#neighbourByHash = new Int32Array(neighbourPoolMax * 4)
    this.#places = new Int32Array(neighbourPoolMax)
    this.#similarities = new Float64Array(neighbourPoolMax)
    this.#firstShared = new Uint8Array(neighbourPoolMax)
    this.#ranked = new Float64Array(neighbourPoolMax)
    this.#hashShift = Math.clz32(this.#neighbourByHash.length - 1)
    for (let distance = 0; distance < sessionLengthMax; distance++) {
      const weight = Math.exp(-distance / options.distanceSteps)
      this.#afterWeights[distance] = weight
      this.#beforeWeights[distance] = weight * options.beforeShare
    }
  }

  /** Notes that a session holds an item it had not held before. */
  learn({ slot, session, isNewItem }: Pick<LearnedStep, 'slot' | 'session' | 'isNewItem'>): void {
    if (!isNewItem) return
    const record = slot * recordLength
    this.#records = growTo(this.#records, record + recordLength)
    const records = this.#records
    const frequency = record + frequencyField
    records[frequency] = (records[frequency] ?? 0) + 1
    const pushes = records[record + pushesField] ?? 0
    let length = this.#ringLength(pushes)
    if (pushes === length && length < this.#neighbourPoolMax) {
      length = this.#growRing(record, length)
    }
    this.#arena.ints[(records[record] ?? 0) + (pushes & (length - 1))] = session
    records[record + pushesField] = pushes + 1 === length * 2 ? length : pushes + 1
  }

  /** Forgets an evicted item. */
  forget(slot: number): void {
    const record = slot * recordLength
    if (record >= this.#records.length) return
    const length = this.#ringLength(this.#records[record + pushesField] ?? 0)
    if (length > 0) this.#arena.giveBack(this.#records[record] ?? 0, length)
    this.#records.fill(0, record, record + recordLength)
  }

  /** Adds to `target` what the neighbours of the own items say. */
  score(ownItems: readonly OwnItem[], target: Candidates): void {
    const count = this.#gather(ownItems)
    for (let index = 0; index < count; index++) {
      const length = Math.max(1, this.#sessions.lengthOf(this.#places[index] ?? 0))
      this.#similarities[index] = (this.#similarities[index] ?? 0) / (this.#roots[length] ?? 1)
    }
    this.#speak(count, ownItems, target)
    if (this.#options.rarityWeight === 0) return
    this.#logOfBegan = Math.log(Math.max(1, this.#sessions.beganCount))
    target.scaleEach(this)
  }

  /** Returns by how much an item is favoured for being rare. */
  factorOf(slot: number): number {
    const frequency = Math.max(1, this.#records[slot * recordLength + frequencyField] ?? 1)
    const log = this.#logs[frequency] ?? Math.log(frequency)
    return 1 + this.#options.rarityWeight * (this.#logOfBegan - log)
  }

  transfer(through: Transfer): void {
    this.#arena.transfer(through)
    this.#records = through.array(this.#records)
  }

  #ringLength(pushes: number): number {
    return Math.min(blockLengthFor(pushes), this.#neighbourPoolMax)
  }

  #growRing(record: number, length: number): number {
    const longer = Math.max(blockLengthMin, length * 2)
    const offset = this.#arena.borrow(longer)
    const before = this.#records[record] ?? 0
    if (length > 0) {
      this.#arena.ints.copyWithin(offset, before, before + length)
      this.#arena.giveBack(before, length)
    }
    this.#records[record] = offset
    return longer
  }

  /** Merges the rings, newest session first. Returns the number of different sessions met. */
  #gather(ownItems: readonly OwnItem[]): number {
    this.#neighbourByHash.fill(0)
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
      const at = this.#hashPlaceOf(place)
      let neighbour = (this.#neighbourByHash[at] ?? 0) - 1
      if (neighbour < 0) {
        if (count === this.#neighbourPoolMax) return count
        neighbour = count
        count += 1
        this.#neighbourByHash[at] = count
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

  /** Returns where in `#neighbourByHash` a session is, or is to come; three of four are free. */
  #hashPlaceOf(place: number): number {
    const mask = this.#neighbourByHash.length - 1
    let at = Math.imul(place, 0x9e3779b1) >>> this.#hashShift
    for (;;) {
      const neighbour = (this.#neighbourByHash[at] ?? 0) - 1
      if (neighbour < 0 || this.#places[neighbour] === place) return at
      at = (at + 1) & mask
    }
  }

  /** Looks at the next older session of a ring; a session no longer held ends it. */
  #advance(index: number, slot: number): void {
    const record = slot * recordLength
    const pushes = this.#records[record + pushesField] ?? 0
    const length = this.#ringLength(pushes)
    const taken = this.#taken[index] ?? 0
    this.#ages[index] = noAge
    if (taken >= Math.min(pushes, length)) return
    const at = (this.#records[record] ?? 0) + ((pushes - 1 - taken) & (length - 1))
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
    for (let index = 0; index < count; index++) {
      this.#ranked[index] = this.#similarities[index] ?? 0
    }
    return selectLargest(this.#ranked, count, rank)
  }
}
