/**
 * What was done together: sessions of profiles, each with the keys of its items in one piece.
 *
 *     session ring   [ offset of its block | events in it ] ...   newest overwrites oldest
 *     block          [ key | key | ... ]   4, 8, 16... of them, oldest first
 *
 * So a session is read at the cost of a line or two of memory, whatever went on beside it. Where
 * all sessions together hold the most events allowed, the oldest session is forgotten for the next.
 *
 * The ring doubles until its limit, a power of two, and then overwrites the oldest. Numbers of
 * sessions run on through 32 bits with wrap-around; only their distance from the newest is looked
 * at, so the number of a session that is no longer held is recognised.
 *
 * Whose a session is stands beside it as a hash of the profile's id, so that an erasure finds it.
 *
 * A session ends after 30 minutes without an interaction, whichever way the clock of the producer
 * jumped, so the lines of one order, which share their time, always lie in one session.
 */

import { BlockArena, blockLengthFor } from './block-arena.ts'
import { hashText } from './hash-text.ts'
import { OpenSessions, type ProfileHash } from './open-sessions.ts'
import type { Transfer } from './transfer.ts'
import { powerOfTwoFrom } from './typed-array.ts'

export const sessionGapMs = 30 * 60_000

/**
 * Interactions kept of a session. Longer ones are robots or wholesale orders: they say little and
 * cost much.
 */
export const sessionLengthMax = 100

const markSeed = 0x5bd1e995

const recordLength = 2
const lengthField = 1

/** The sign bit of a stored key: the item was in the session before. */
const repeatBit = -0x80000000
const keyMask = 0x7fffffff

export class SessionStore {
  readonly #sessionCountMax: number
  readonly #eventCountMax: number
  #records: Int32Array
  #lastAtMs: Float64Array
  #owners: Int32Array
  readonly #arena = new BlockArena()
  #nextSession = 0
  #sessionCount = 0
  #eventCount = 0
  /** Of the profile that is looked at; the one object is used for all. */
  readonly #profile: ProfileHash = { hash: 0, mark: 0 }
  /** Newest session by profile; who falls out of it begins a new session early. */
  readonly #open = new OpenSessions((session) =>
    this.ageOf(session) === undefined ? undefined : this.#owners[this.placeOf(session)],
  )
  /** Sessions ever begun, for item frequencies. */
  beganCount = 0
  /** Whether the last `append` met an item that its session had not held. */
  isNewItem = false
  /** Steps back to where the last `append` had met its item before: 0 for a reload, -1 for none. */
  stepsBack = -1
  /**
   * Whether the last `append` met the item that its session had met just before; it is not kept
   * twice.
   */
  isReload = false

  constructor(sessionCountMax: number, eventCountMax: number) {
    this.#sessionCountMax = powerOfTwoFrom(sessionCountMax)
    this.#eventCountMax = eventCountMax
    const capacity = Math.min(1024, this.#sessionCountMax)
    this.#records = new Int32Array(capacity * recordLength)
    this.#lastAtMs = new Float64Array(capacity)
    this.#owners = new Int32Array(capacity)
  }

  /**
   * Adds an interaction to the profile's running session, or begins one. Returns the session's
   * number.
   */
  append(profileId: string, key: number, atMs: number): number {
    if (this.#eventCount >= this.#eventCountMax) this.#forgetOldest()
    const session = this.#running(profileId, atMs)
    const place = this.placeOf(session)
    const length = this.lengthOf(place)
    this.#lastAtMs[place] = Math.max(atMs, this.#lastAtMs[place] ?? atMs)
    this.stepsBack = this.#stepsBackTo(place, key)
    this.isReload = this.stepsBack === 0
    this.isNewItem = this.stepsBack < 0 && length < sessionLengthMax
    if (this.isReload || length >= sessionLengthMax) return session
    const room = blockLengthFor(length)
    const offset = length === room ? this.#growBlock(place, length) : this.#offsetOf(place)
    this.#arena.ints[offset + length] = this.isNewItem ? key : key | repeatBit
    this.#records[place * recordLength + lengthField] = length + 1
    this.#eventCount += 1
    return session
  }

  /** Returns how many sessions ago a session began, from 1; undefined if it is no longer held. */
  ageOf(session: number): number | undefined {
    const age = (this.#nextSession - session) | 0
    return age >= 1 && age <= this.#sessionCount ? age : undefined
  }

  sessionOfAge(age: number): number {
    return (this.#nextSession - age) | 0
  }

  placeOf(session: number): number {
    return session & (this.#lastAtMs.length - 1)
  }

  /** Returns the length of the session at `place`, repeats included. */
  lengthOf(place: number): number {
    return this.#records[place * recordLength + lengthField] ?? 0
  }

  /**
   * Writes the keys of the session at `place`, newest first and each once, into `target`; returns
   * their number. With `withRepeats` the order is that of the last time each item was met, else of
   * the first.
   */
  readKeys(place: number, target: Int32Array, withRepeats: boolean): number {
    const { ints } = this.#arena
    const offset = this.#offsetOf(place)
    let count = 0
    for (let at = offset + this.lengthOf(place) - 1; at >= offset; at--) {
      const stored = ints[at] ?? 0
      const key = stored & keyMask
      if (withRepeats ? isAmong(key, target, count) : stored < 0) continue
      target[count] = key
      count += 1
      if (count === target.length) return count
    }
    return count
  }

  /**
   * Empties the sessions of some profiles and returns their numbers. Of two profiles with one hash
   * both lose theirs. Nobody goes on with what was emptied.
   */
  erase(profileIds: readonly string[]): readonly number[] {
    const owners = new Set<number>()
    for (const profileId of profileIds) {
      this.#hash(profileId)
      this.#open.forget(this.#profile)
      owners.add(this.#profile.hash)
    }
    const erased: number[] = []
    for (let age = 1; age <= this.#sessionCount; age++) {
      const session = this.sessionOfAge(age)
      const place = this.placeOf(session)
      const owner = this.#owners[place] ?? 0
      if (owner === 0 || !owners.has(owner)) continue
      const length = this.lengthOf(place)
      const offset = this.#offsetOf(place)
      // Read as what was met before, so as nothing; the block stays, to be given back in time.
      if (length > 0) this.#arena.ints.fill(repeatBit, offset, offset + blockLengthFor(length))
      this.#lastAtMs[place] = -Infinity
      this.#owners[place] = 0
      erased.push(session)
    }
    return erased
  }

  transfer(through: Transfer): void {
    this.#records = through.array(this.#records)
    this.#lastAtMs = through.array(this.#lastAtMs)
    this.#owners = through.array(this.#owners)
    this.#arena.transfer(through)
    this.#nextSession = through.number(this.#nextSession)
    this.#sessionCount = through.number(this.#sessionCount)
    this.#eventCount = through.number(this.#eventCount)
    this.beganCount = through.number(this.beganCount)
    this.#open.transfer(through)
  }

  #running(profileId: string, atMs: number): number {
    this.#hash(profileId)
    const before = this.#open.find(this.#profile)
    if (before !== undefined && this.ageOf(before) !== undefined) {
      const lastAtMs = this.#lastAtMs[this.placeOf(before)] ?? -Infinity
      if (Math.abs(atMs - lastAtMs) <= sessionGapMs) return before
    }
    const session = this.#begin(this.#profile.hash)
    this.#open.put(this.#profile, session)
    return session
  }

  /** 0 is nobody's. */
  #hash(profileId: string): void {
    this.#profile.hash = hashText(profileId) || 1
    this.#profile.mark = hashText(profileId, markSeed) || 1
  }

  #begin(owner: number): number {
    if (this.#sessionCount === this.#lastAtMs.length) {
      if (this.#sessionCount < this.#sessionCountMax) this.#growRing()
      else this.#forgetOldest()
    }
    const session = this.#nextSession
    const place = this.placeOf(session)
    this.#lastAtMs[place] = -Infinity
    this.#owners[place] = owner
    this.#nextSession = (session + 1) | 0
    this.#sessionCount += 1
    this.beganCount += 1
    return session
  }

  #forgetOldest(): void {
    const place = this.placeOf(this.sessionOfAge(this.#sessionCount))
    const length = this.lengthOf(place)
    if (length > 0) this.#arena.giveBack(this.#offsetOf(place), blockLengthFor(length))
    this.#records[place * recordLength + lengthField] = 0
    this.#eventCount -= length
    this.#sessionCount -= 1
  }

  /** Returns how many events back the session at `place` met an item; -1 if it did not. */
  #stepsBackTo(place: number, key: number): number {
    const { ints } = this.#arena
    const offset = this.#offsetOf(place)
    const newest = offset + this.lengthOf(place) - 1
    for (let at = newest; at >= offset; at--) {
      if (((ints[at] ?? 0) & keyMask) === key) return newest - at
    }
    return -1
  }

  #offsetOf(place: number): number {
    return this.#records[place * recordLength] ?? 0
  }

  #growBlock(place: number, length: number): number {
    const offset = this.#arena.borrow(blockLengthFor(length + 1))
    if (length > 0) {
      const before = this.#offsetOf(place)
      this.#arena.ints.copyWithin(offset, before, before + length)
      this.#arena.giveBack(before, length)
    }
    this.#records[place * recordLength] = offset
    return offset
  }

  /** Doubles the ring; each session held comes to the place that its number has there. */
  #growRing(): void {
    const [records, lastAtMs, owners] = [this.#records, this.#lastAtMs, this.#owners]
    const mask = lastAtMs.length - 1
    this.#records = new Int32Array(records.length * 2)
    this.#lastAtMs = new Float64Array(lastAtMs.length * 2)
    this.#owners = new Int32Array(owners.length * 2)
    for (let age = this.#sessionCount; age >= 1; age--) {
      const session = this.sessionOfAge(age)
      const [from, to] = [session & mask, this.placeOf(session)]
      this.#lastAtMs[to] = lastAtMs[from] ?? 0
      this.#owners[to] = owners[from] ?? 0
      for (let field = 0; field < recordLength; field++) {
        this.#records[to * recordLength + field] = records[from * recordLength + field] ?? 0
      }
    }
  }
}

function isAmong(key: number, keys: Int32Array, count: number): boolean {
  for (let index = 0; index < count; index++) if (keys[index] === key) return true
  return false
}
