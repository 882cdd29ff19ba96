/**
 * Which session a profile is in, of the profiles that were met last: a table of numbers, so that
 * half a million of them cost neither objects nor texts, and no id of a person is kept.
 *
 *     bucket = 8 entries, a line of memory      entry = [ session | mark ]; mark 0 is free
 *
 * The hash of a profile names its bucket, and a second one, its mark, the entry in it: two profiles
 * are taken for one with a chance of 2^-29 a look. A newcomer to a full bucket takes the place of
 * the session that began first; where that is recent, the table doubles, up to its limit.
 */

import type { Transfer } from './transfer.ts'

const entriesPerBucket = 8
const bucketLength = entriesPerBucket * 2
const bucketCountMin = 128
const bucketBitsMax = 17

/** Two hashes of a profile's id; the mark is not 0. */
export interface ProfileHash {
  hash: number
  mark: number
}

export class OpenSessions {
  /** Answers undefined for a session that is no longer held. */
  readonly #hashOf: (session: number) => number | undefined
  readonly #lengthMax: number
  #entries = new Int32Array(bucketCountMin * bucketLength)

  /** 2^20 profiles at most by default: 8 MiB. */
  constructor(
    hashOf: (session: number) => number | undefined,
    bucketCountMax = 2 ** bucketBitsMax,
  ) {
    this.#hashOf = hashOf
    this.#lengthMax = bucketCountMax * bucketLength
  }

  /** Returns the session that a profile began last; undefined if that was long ago or never. */
  find(profile: ProfileHash): number | undefined {
    const at = this.#placeOf(profile)
    return at < 0 ? undefined : this.#entries[at]
  }

  /** Notes that a profile has begun a session, the newest of all. */
  put(profile: ProfileHash, session: number): void {
    const known = this.#placeOf(profile)
    let at = known < 0 ? this.#oldestIn(profile.hash, session) : known
    const isTaken = known < 0 && this.#entries[at + 1] !== 0
    if (isTaken && this.#ageAt(at, session) < this.#entries.length / 4 && this.#grow()) {
      at = this.#oldestIn(profile.hash, session)
    }
    this.#entries[at] = session
    this.#entries[at + 1] = profile.mark
  }

  forget(profile: ProfileHash): void {
    const at = this.#placeOf(profile)
    if (at >= 0) this.#entries.fill(0, at, at + 2)
  }

  transfer(through: Transfer): void {
    this.#entries = through.array(this.#entries)
  }

  #placeOf({ hash, mark }: ProfileHash): number {
    const first = this.#bucketOf(hash)
    for (let at = first; at < first + bucketLength; at += 2) {
      if (this.#entries[at + 1] === mark) return at
    }
    return -1
  }

  /** Returns the place of a free entry of the bucket, or of that whose session began first. */
  #oldestIn(hash: number, session: number): number {
    const first = this.#bucketOf(hash)
    let oldest = first
    for (let at = first; at < first + bucketLength; at += 2) {
      if (this.#entries[at + 1] === 0) return at
      if (this.#ageAt(at, session) > this.#ageAt(oldest, session)) oldest = at
    }
    return oldest
  }

  /** Numbers of sessions run through 32 bits with wrap-around. */
  #ageAt(at: number, newest: number): number {
    return (newest - (this.#entries[at] ?? 0)) >>> 0
  }

  #bucketOf(hash: number): number {
    const mixed = Math.imul(hash, 0x9e3779b1) >>> (32 - bucketBitsMax)
    return (mixed & (this.#entries.length / bucketLength - 1)) * bucketLength
  }

  /** Doubles the table; the entries of a bucket go to one of two. Tells whether there was room. */
  #grow(): boolean {
    const before = this.#entries
    if (before.length >= this.#lengthMax) return false
    this.#entries = new Int32Array(before.length * 2)
    for (let at = 0; at < before.length; at += 2) {
      const [session = 0, mark = 0] = [before[at], before[at + 1]]
      const hash = mark === 0 ? undefined : this.#hashOf(session)
      if (hash === undefined) continue
      const to = this.#oldestIn(hash, session)
      this.#entries[to] = session
      this.#entries[to + 1] = mark
    }
    return true
  }
}
