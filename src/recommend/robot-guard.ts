/**
 * Keeps one profile from outweighing the others: of what it does within an hour only so much is
 * learned. Who goes beyond is a robot, or orders for a whole shop, and says little of what goes
 * with what. Such a profile is flagged until the next hour of its own time.
 *
 * Memory is bounded: two tables of profiles, of which the older is dropped once the newer is full.
 * A profile that falls out begins to count anew.
 */

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

export class RobotGuard {
  /** Interactions that were not learned. */
  ignoredCount = 0
  /** Times that a profile was flagged. */
  flaggedCount = 0
  readonly #options: RobotGuardOptions
  #counts = new Map<string, number>()
  #countsBefore = new Map<string, number>()

  constructor(options: RobotGuardOptions = robotGuardDefaults) {
    this.#options = options
  }

  /** Tells whether an interaction is to be learned. */
  admits(profileId: string, occurredAtMs: number): boolean {
    const hour = Math.floor(occurredAtMs / hourMs)
    const known = this.#counts.get(profileId) ?? this.#countsBefore.get(profileId) ?? -1
    const isSameHour = Math.floor(known / countLimit) === hour
    const count = isSameHour ? (known % countLimit) + 1 : 1
    const { interactionsPerHourMax } = this.#options
    if (count > interactionsPerHourMax) {
      if (count === interactionsPerHourMax + 1) {
        this.flaggedCount += 1
        this.#keep(profileId, hour * countLimit + count)
      }
      this.ignoredCount += 1
      return false
    }
    this.#keep(profileId, hour * countLimit + count)
    return true
  }

  /** Tells whether a profile is flagged at an instant of its own time. */
  isFlagged(profileId: string, atMs: number): boolean {
    const known = this.#counts.get(profileId) ?? this.#countsBefore.get(profileId) ?? -1
    const isSameHour = Math.floor(known / countLimit) === Math.floor(atMs / hourMs)
    return isSameHour && known % countLimit > this.#options.interactionsPerHourMax
  }

  forget(profileId: string): void {
    this.#counts.delete(profileId)
    this.#countsBefore.delete(profileId)
  }

  #keep(profileId: string, value: number): void {
    if (this.#counts.size >= this.#options.profileCountMax && !this.#counts.has(profileId)) {
      this.#countsBefore = this.#counts
      this.#counts = new Map()
    }
    this.#counts.set(profileId, value)
  }
}
