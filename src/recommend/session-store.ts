/**
 * What was done together: sessions of profiles, as chains of events in two rings.
 *
 *     event ring    [ key | distance to the session's event before ] ...   newest overwrites oldest,
 *                   the two side by side in one array
 *     session ring  [ newest event | length of the chain | time of the newest ] ...
 *
 * Both rings double until their limit, a power of two, and then overwrite the oldest. Numbers of
 * events and sessions run on through 32 bits with wrap-around; only their distance from the newest
 * is looked at, so a number that fell out of its ring is recognised. A chain ends where it was
 * overwritten.
 *
 * A session ends after 30 minutes without an interaction, whichever way the clock of the producer
 * jumped, so the lines of one order, which share their time, always lie in one session.
 */

import { type Transfer, transferMap } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

export const sessionGapMs = 30 * 60_000

/**
 * Interactions kept of a session. Longer ones are robots or wholesale orders: they say little and
 * cost much.
 */
export const sessionLengthMax = 100

/** Profiles whose running session is remembered, twice over; beyond it a session is cut early. */
const openCountMax = 500_000

/** The sign bit of a stored key: the item was in the session before. */
const repeatBit = -0x80000000
const keyMask = 0x7fffffff

export class SessionStore {
  readonly #sessionCountMax: number
  readonly #eventCountMax: number
  #newestEvents: Int32Array
  #chainLengths: Uint8Array
  #lastAtMs: Float64Array
  #events: Int32Array
  #nextSession = 0
  #nextEvent = 0
  #sessionCount = 0
  #eventCount = 0
  /**
   * Newest session by profile, in two halves: the older half is dropped once the newer one is full
   * or old.
   */
  #open = new Map<string, number>()
  #openBefore = new Map<string, number>()
  #openedAtMs = -Infinity
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
    this.#eventCountMax = powerOfTwoFrom(eventCountMax)
    const sessionCapacity = Math.min(1024, this.#sessionCountMax)
    this.#newestEvents = new Int32Array(sessionCapacity)
    this.#chainLengths = new Uint8Array(sessionCapacity)
    this.#lastAtMs = new Float64Array(sessionCapacity)
    const eventCapacity = Math.min(1024, this.#eventCountMax)
    this.#events = new Int32Array(eventCapacity * 2)
  }

  /**
   * Adds an interaction to the profile's running session, or begins one. Returns the session's
   * number.
   */
  append(profileId: string, key: number, atMs: number): number {
    const session = this.#running(profileId, atMs)
    const place = this.placeOf(session)
    const length = this.#chainLengths[place] ?? 0
    this.#lastAtMs[place] = Math.max(atMs, this.#lastAtMs[place] ?? atMs)
    this.stepsBack = this.#stepsBackTo(place, key)
    this.isReload = this.stepsBack === 0
    this.isNewItem = this.stepsBack < 0 && length < sessionLengthMax
    if (this.isReload || length >= sessionLengthMax) return session
    const isFull = this.#eventCount === this.#events.length >>> 1
    if (isFull && this.#eventCount < this.#eventCountMax) {
      this.#events = growTo(this.#events, this.#events.length * 2)
    }
    const event = this.#nextEvent
    const at = this.#eventAt(event)
    this.#events[at] = this.isNewItem ? key : key | repeatBit
    this.#events[at + 1] = length === 0 ? 0 : (event - (this.#newestEvents[place] ?? 0)) | 0
    this.#newestEvents[place] = event
    this.#chainLengths[place] = length + 1
    this.#nextEvent = (event + 1) | 0
    if (this.#eventCount < this.#events.length >>> 1) this.#eventCount += 1
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
    return session & (this.#newestEvents.length - 1)
  }

  /**
   * Writes the keys of the session at `place`, newest first and each once, into `target`; returns
   * their number. With `withRepeats` the order is that of the last time each item was met, else of
   * the first.
   */
  readKeys(place: number, target: Int32Array, withRepeats: boolean): number {
    let event = this.#newestEvents[place] ?? 0
    let count = 0
    while (count < target.length) {
      const age = (this.#nextEvent - event) | 0
      if (age < 1 || age > this.#eventCount) return count
      const at = this.#eventAt(event)
      const stored = this.#events[at] ?? 0
      const key = stored & keyMask
      if (withRepeats ? !isAmong(key, target, count) : stored >= 0) {
        target[count] = key
        count += 1
      }
      const distance = this.#events[at + 1] ?? 0
      if (distance === 0) return count
      event = (event - distance) | 0
    }
    return count
  }

  transfer(through: Transfer): void {
    this.#newestEvents = through.array(this.#newestEvents)
    this.#chainLengths = through.array(this.#chainLengths)
    this.#lastAtMs = through.array(this.#lastAtMs)
    this.#events = through.array(this.#events)
    this.#nextSession = through.number(this.#nextSession)
    this.#nextEvent = through.number(this.#nextEvent)
    this.#sessionCount = through.number(this.#sessionCount)
    this.#eventCount = through.number(this.#eventCount)
    this.#openedAtMs = through.number(this.#openedAtMs)
    this.beganCount = through.number(this.beganCount)
    this.#open = transferMap(through, this.#open)
    this.#openBefore = transferMap(through, this.#openBefore)
  }

  #running(profileId: string, atMs: number): number {
    const found = this.#open.get(profileId)
    const before = found ?? this.#openBefore.get(profileId)
    if (before !== undefined && this.ageOf(before) !== undefined) {
      const lastAtMs = this.#lastAtMs[this.placeOf(before)] ?? -Infinity
      if (Math.abs(atMs - lastAtMs) <= sessionGapMs) {
        if (found === undefined) this.#open.set(profileId, before)
        return before
      }
    }
    const session = this.#begin()
    if (atMs - this.#openedAtMs > sessionGapMs || this.#open.size >= openCountMax) {
      this.#openBefore = this.#open
      this.#open = new Map()
      this.#openedAtMs = Math.max(atMs, this.#openedAtMs)
    }
    this.#open.set(profileId, session)
    return session
  }

  #begin(): number {
    const isFull = this.#sessionCount === this.#newestEvents.length
    if (isFull && this.#sessionCount < this.#sessionCountMax) this.#growSessions()
    const session = this.#nextSession
    const place = this.placeOf(session)
    this.#chainLengths[place] = 0
    this.#lastAtMs[place] = -Infinity
    this.#nextSession = (session + 1) | 0
    if (this.#sessionCount < this.#newestEvents.length) this.#sessionCount += 1
    this.beganCount += 1
    return session
  }

  /** Returns how many events back the session at `place` met an item; -1 if it did not. */
  #stepsBackTo(place: number, key: number): number {
    if (this.#chainLengths[place] === 0) return -1
    let event = this.#newestEvents[place] ?? 0
    for (let steps = 0; ; steps++) {
      const age = (this.#nextEvent - event) | 0
      if (age < 1 || age > this.#eventCount) return -1
      const at = this.#eventAt(event)
      if (((this.#events[at] ?? 0) & keyMask) === key) return steps
      const distance = this.#events[at + 1] ?? 0
      if (distance === 0) return -1
      event = (event - distance) | 0
    }
  }

  /** Returns the length of the session at `place`, repeats included. */
  lengthOf(place: number): number {
    return this.#chainLengths[place] ?? 0
  }

  /**
   * A ring that was never overwritten holds the numbers from 0 in order, so a longer one keeps
   * their places.
   */
  #growSessions(): void {
    const length = this.#newestEvents.length * 2
    this.#newestEvents = growTo(this.#newestEvents, length)
    this.#chainLengths = growTo(this.#chainLengths, length)
    this.#lastAtMs = growTo(this.#lastAtMs, length)
  }

  /** Returns where in `#events` the event of a number is. */
  #eventAt(event: number): number {
    return (event & ((this.#events.length >>> 1) - 1)) * 2
  }
}

function isAmong(key: number, keys: Int32Array, count: number): boolean {
  for (let index = 0; index < count; index++) if (keys[index] === key) return true
  return false
}
