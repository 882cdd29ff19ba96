/**
 * Who is who by plain rules, for all events at once: users are joined by aliases and by external
 * ids that join users; a device or an external id belongs to the only user whom it can be traced
 * to. Where it can be traced to several, a device is the one's who named it last, and nothing is
 * foretold of an external id.
 */

import { type Event, personKeyOf } from '../event/event.ts'
import { compareKeys, isDeviceKey, isUserKey, kindOfKey } from '../profile/identity-key.ts'
import { findKind, type IdentityRules } from '../profile/identity-rules.ts'
import { statedKeys } from '../profile/stated-key.ts'

export interface ToldEvent {
  readonly event: Event
  /** In force where it was folded. */
  readonly rules: IdentityRules
}

class Groups {
  readonly #parents = new Map<string, string>()

  find(key: string): string {
    const parent = this.#parents.get(key) ?? key
    return parent === key ? key : this.find(parent)
  }

  join(left: string, right: string): void {
    const [low, high] = [this.find(left), this.find(right)].sort(compareKeys)
    if (low !== undefined && high !== undefined && low !== high) this.#parents.set(high, low)
  }
}

export interface Foretold {
  /** Who leads a key, where that can be foretold. */
  readonly leaders: ReadonlyMap<string, string>
  /** The same for all keys that can be traced to each other. */
  groupOf(key: string): string
}

/** Foretells from all events, in any order. */
export function foretellPeople(told: readonly ToldEvent[]): Foretold {
  // Of those who name a device at one instant, as a batch does, the greatest key has it.
  const history = told.toSorted(({ event: left }, { event: right }) => {
    const [leftKey, rightKey] = [personKeyOf(left), personKeyOf(right)]
    const byKey = Number(leftKey > rightKey) - Number(leftKey < rightKey)
    return left.receivedAtMs - right.receivedAtMs || byKey
  })
  const users = new Groups()
  const all = new Groups()
  const keys = new Set(history.map(({ event }) => personKeyOf(event)))
  const seen = [...keys].filter(isUserKey)
  const claims: { readonly key: string; readonly by: string }[] = []
  const holders = new Map<string, string>()
  for (const { event, rules } of history) {
    const own = personKeyOf(event)
    for (const key of statedKeys(rules, event, own)) {
      // The id before of an alias may be of a kind that nobody ever had.
      if (isUserKey(key) && !keys.has(key)) continue
      keys.add(key)
      all.join(own, key)
      if (!isUserKey(own)) continue
      if (isUserKey(key)) users.join(own, key)
      else claims.push({ key, by: own })
      if (findKind(rules, kindOfKey(key))?.joinsUsers !== true) continue
      users.join(own, holders.get(key) ?? own)
      holders.set(key, own)
    }
  }
  const usersOf = Map.groupBy(seen, (user) => all.find(user))
  const newest = new Map(claims.map(({ key, by }) => [key, by]))
  const leaders = new Map<string, string>()
  for (const key of keys) {
    const candidates = new Set((usersOf.get(all.find(key)) ?? []).map((user) => users.find(user)))
    const [only = all.find(key)] = candidates
    const holder = newest.get(key)
    if (isUserKey(key)) leaders.set(key, users.find(key))
    else if (candidates.size <= 1) leaders.set(key, only)
    else if (isDeviceKey(key) && holder !== undefined) leaders.set(key, users.find(holder))
  }
  return { leaders, groupOf: (key) => all.find(key) }
}
