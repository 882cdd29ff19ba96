/**
 * What people did, in the order of time: an interaction is a row of numbers in columns, so that
 * millions of them fit beside the index. Ids are kept once. Where it is full, the rows that were
 * added first go, a quarter at a time.
 *
 * Rows are added in any order, then sorted; of the same instant the one added first comes first.
 * `join` says whose the profiles are; a row keeps the profile by which it came.
 */

import { assert } from '../../lib/assert.ts'
import { type Interaction, interactionKinds } from '../recommender.ts'
import { growTo } from '../typed-array.ts'

/** About 21 bytes each, and the ids. */
export const activityCountMax = 20_000_000

export class PeopleActivity {
  readonly #countMax: number
  readonly #profiles = new Numbers()
  readonly #items = new Numbers()
  #profileNumbers = new Int32Array(1024)
  #itemNumbers = new Int32Array(1024)
  #kinds = new Uint8Array(1024)
  #atMs = new Float64Array(1024)
  readonly #erased = new Set<number>()
  #order = new Uint32Array(0)
  /** By number of a profile: that of its owner; absent before `join`. */
  #owners: readonly number[] | undefined
  #count = 0
  #isSorted = true
  #droppedCount = 0

  constructor(countMax = activityCountMax) {
    assert(countMax >= 4, 'a quarter of the rows is at least one')
    this.#countMax = countMax
  }

  /** Rows that went to make room. */
  get droppedCount(): number {
    return this.#droppedCount
  }

  /** Of those in order; call `sort` before. */
  get count(): number {
    return this.#order.length
  }

  /** Ids, by their number. */
  get profileIds(): readonly string[] {
    return this.#profiles.texts
  }

  add({ profileId, itemId, kind, occurredAtMs }: Interaction): void {
    if (this.#count === this.#countMax) this.#makeRoom()
    const row = this.#count
    if (row >= this.#profileNumbers.length) {
      this.#profileNumbers = growTo(this.#profileNumbers, row + 1)
      this.#itemNumbers = growTo(this.#itemNumbers, row + 1)
      this.#kinds = growTo(this.#kinds, row + 1)
      this.#atMs = growTo(this.#atMs, row + 1)
    }
    if (row > 0 && occurredAtMs < (this.#atMs[row - 1] ?? 0)) this.#isSorted = false
    this.#profileNumbers[row] = this.#profiles.of(profileId)
    this.#itemNumbers[row] = this.#items.of(itemId)
    this.#kinds[row] = interactionKinds.indexOf(kind)
    this.#atMs[row] = occurredAtMs
    this.#count += 1
  }

  /** Gives each profile to a person: `owners` by number of the profile. */
  join(owners: readonly string[]): void {
    assert(owners.length === this.profileIds.length, 'each profile has an owner')
    this.#owners = owners.map((owner) => this.#profiles.of(owner))
  }

  /** Leaves out what was added of a profile so far. */
  erase(profileId: string): void {
    const number = this.#profiles.take(profileId)
    if (number !== undefined) this.#erased.add(number)
  }

  /** Returns the numbers of the people behind some ids, as far as they are known. */
  peopleOf(profileIds: Iterable<string>): ReadonlySet<number> {
    const wanted = new Set(profileIds)
    const people = new Set<number>()
    for (const [number, profileId] of this.profileIds.entries()) {
      if (wanted.has(profileId)) people.add(this.#ownerOf(number))
    }
    return people
  }

  countPeople(): number {
    const profiles = new Set<number>()
    for (const row of this.#order) profiles.add(this.#profileNumbers[row] ?? 0)
    return new Set([...profiles].map((profile) => this.#ownerOf(profile))).size
  }

  sort(): void {
    const rows = Uint32Array.from({ length: this.#count }, (_, row) => row)
    const isKept = (row: number): boolean => !this.#erased.has(this.#profileNumbers[row] ?? 0)
    this.#order = this.#erased.size === 0 ? rows : rows.filter(isKept)
    if (this.#isSorted) return
    const atMs = this.#atMs
    this.#order.sort((left, right) => (atMs[left] ?? 0) - (atMs[right] ?? 0) || left - right)
  }

  /** Number of the person of the row at a place in the order of time; call `sort` before. */
  personAt(place: number): number {
    return this.#ownerOf(this.#profileAt(place))
  }

  itemAt(place: number): number {
    return this.#itemNumbers[this.#rowAt(place)] ?? 0
  }

  /** Index in `interactionKinds`. */
  kindAt(place: number): number {
    return this.#kinds[this.#rowAt(place)] ?? 0
  }

  atMsAt(place: number): number {
    return this.#atMs[this.#rowAt(place)] ?? 0
  }

  itemIdOf(item: number): string {
    return this.#items.texts[item] ?? ''
  }

  at(place: number): Interaction {
    return {
      profileId: this.#profiles.texts[this.#profileAt(place)] ?? '',
      itemId: this.itemIdOf(this.itemAt(place)),
      kind: interactionKinds[this.kindAt(place)] ?? 'view',
      occurredAtMs: this.atMsAt(place),
    }
  }

  /** Returns the first place at or behind an instant. */
  placeFrom(atMs: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.atMsAt(middle) < atMs) low = middle + 1
      else high = middle
    }
    return low
  }

  #makeRoom(): void {
    const gone = Math.floor(this.#countMax / 4)
    for (const column of [this.#profileNumbers, this.#itemNumbers, this.#kinds, this.#atMs]) {
      column.copyWithin(0, gone, this.#count)
    }
    this.#count -= gone
    this.#droppedCount += gone
  }

  #ownerOf(profile: number): number {
    return this.#owners?.[profile] ?? profile
  }

  #profileAt(place: number): number {
    return this.#profileNumbers[this.#rowAt(place)] ?? 0
  }

  #rowAt(place: number): number {
    return this.#order[place] ?? 0
  }
}

/** Gives texts numbers from 0. */
class Numbers {
  /** Forgets a text and returns its number, which no other gets. */
  take(text: string): number | undefined {
    const number = this.#numbers.get(text)
    if (number === undefined) return undefined
    this.#numbers.delete(text)
    this.texts[number] = ''
    return number
  }

  readonly texts: string[] = []
  readonly #numbers = new Map<string, number>()

  of(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.texts.length)
    this.texts.push(text)
    return this.texts.length - 1
  }
}
