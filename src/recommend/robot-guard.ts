/**
 * Keeps one profile from outweighing the others: of what it does within an hour only so much is
 * learned. Who goes beyond is a robot, or orders for a whole shop, and says little of what goes
 * with what. Such a profile is flagged until the next hour of its own time.
 *
 * Events come late, so the newest few hours of a profile that something came of are counted, each
 * for itself: who goes to and fro between two is not counted anew each time.
 *
 * Memory is bounded: two tables of profiles, of which the older is dropped once the newer is full.
 * A profile that falls out begins to count anew. A profile is known by 32 bits of its id, so that a
 * snapshot names nobody; two that share them share an allowance.
 */

import { hashText } from './hash-text.ts'
import type { Transfer } from './transfer.ts'

export interface RobotGuardOptions {
  readonly interactionsPerHourMax: number
  readonly profileCountMax: number
}

export const robotGuardDefaults: RobotGuardOptions = {
  interactionsPerHourMax: 300,
  profileCountMax: 200_000,
}

const hourMs = 3_600_000
/** Room for the count beside the hour in one number. */
const countLimit = 4096
/** Hours of a profile that are counted; the one that was met longest ago goes first. */
const hourCountMax = 4

/** By profile: its hours, each with a count, the one that was met last at the end. */
type Table = Map<number, readonly number[]>

export class RobotGuard {
  /** Interactions that were not learned. */
  ignoredCount = 0
  /** Times that a profile was flagged. */
  flaggedCount = 0
  readonly #options: RobotGuardOptions
  #hours: Table = new Map()
  #hoursBefore: Table = new Map()

  constructor(options: RobotGuardOptions = robotGuardDefaults) {
    this.#options = options
  }

  /** Tells whether an interaction is to be learned. */
  admits(profileId: string, occurredAtMs: number): boolean {
    const id = hashText(profileId)
    const hour = Math.floor(occurredAtMs / hourMs)
    const hours = this.#hoursOf(id)
    const count = countIn(hours, hour) + 1
    const { interactionsPerHourMax } = this.#options
    const isAdmitted = count <= interactionsPerHourMax
    if (!isAdmitted) this.ignoredCount += 1
    // Beyond that it is flagged already, and not counted any more.
    if (count > interactionsPerHourMax + 1) return false
    if (!isAdmitted) this.flaggedCount += 1
    const others = hours.filter((each) => !isOf(each, hour))
    this.#keep(id, [...others.slice(1 - hourCountMax), hour * countLimit + count])
    return isAdmitted
  }

  /** Tells whether a profile is flagged at an instant of its own time. */
  isFlagged(profileId: string, atMs: number): boolean {
    const count = countIn(this.#hoursOf(hashText(profileId)), Math.floor(atMs / hourMs))
    return count > this.#options.interactionsPerHourMax
  }

  forget(profileId: string): void {
    const id = hashText(profileId)
    this.#hours.delete(id)
    this.#hoursBefore.delete(id)
  }

  /** Hands over what it counted, see `transfer.ts`. */
  transfer(through: Transfer): void {
    this.ignoredCount = through.number(this.ignoredCount)
    this.flaggedCount = through.number(this.flaggedCount)
    this.#hours = transferTable(through, this.#hours)
    this.#hoursBefore = transferTable(through, this.#hoursBefore)
  }

  #hoursOf(id: number): readonly number[] {
    return this.#hours.get(id) ?? this.#hoursBefore.get(id) ?? []
  }

  #keep(id: number, hours: readonly number[]): void {
    if (this.#hours.size >= this.#options.profileCountMax && !this.#hours.has(id)) {
      this.#hoursBefore = this.#hours
      this.#hours = new Map()
    }
    this.#hours.set(id, hours)
  }
}

function countIn(hours: readonly number[], hour: number): number {
  const found = hours.find((each) => isOf(each, hour))
  return found === undefined ? 0 : found - hour * countLimit
}

function isOf(counted: number, hour: number): boolean {
  return Math.floor(counted / countLimit) === hour
}

function transferTable(through: Transfer, table: Table): Table {
  const ids = through.array(Int32Array.from(table.keys()))
  const lengths = through.array(Uint8Array.from(table.values(), ({ length }) => length))
  const hours = through.array(Float64Array.from([...table.values()].flat()))
  const given: Table = new Map()
  let at = 0
  for (const [index, id] of ids.entries()) {
    const end = at + (lengths[index] ?? 0)
    given.set(id, [...hours.subarray(at, end)])
    at = end
  }
  return given
}
