/** Joins parts of two persons who turn out to be one. Pure. */

import { appendActivity, decodeActivity, emptyPack } from './activity-pack.ts'
import { mergeBought } from './bought-pack.ts'
import { mergeHabits } from './habit/habit-pack.ts'
import {
  countNames,
  findPart,
  otherName,
  type PackedTotal,
  type Person,
  type ProfilePart,
  profileNameCountMax,
  roundMoney,
} from './person.ts'

/**
 * Adds a part to a person. One that is there already, since two had the same device one after the
 * other, takes it in: each event is in one of the two. Names of events beyond the limit are counted
 * together, the rarest first. States of computed traits of a known part are left to the fold.
 */
export function mergePart(person: Person, part: ProfilePart): void {
  const known = findPart(person, part.key)
  if (known === undefined) {
    const { totals, activity, computed = emptyPack } = part
    const isEmpty = [activity, computed].every(({ length }) => length === 0)
    if (isEmpty && Object.keys(totals).length === 0) return
    person.parts.push(part)
  } else {
    for (const [name, total] of Object.entries(part.totals)) addTotal(known.totals, name, total)
    known.activity = mergeActivity(known.activity, part.activity)
    const habits = mergeHabits(known.habits, part.habits)
    if (habits !== undefined) known.habits = habits
    const bought = mergeBought(known.bought, part.bought)
    if (bought.length > 0) known.bought = bought
  }
  foldNames(person.parts, known ?? part)
}

function mergeActivity(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length === 0) return right
  if (right.length === 0) return left
  const entries = [...decodeActivity(left), ...decodeActivity(right)]
  entries.sort((one, other) => one.occurredAtMs - other.occurredAtMs)
  return appendActivity(emptyPack, entries)
}

function addTotal(totals: Record<string, PackedTotal>, name: string, total: PackedTotal): void {
  const before = Object.hasOwn(totals, name) ? totals[name] : undefined
  totals[name] =
    before === undefined
      ? total
      : [
          before[0] + total[0],
          roundMoney(before[1] + total[1]),
          Math.min(before[2], total[2]),
          Math.max(before[3], total[3]),
        ]
}

function foldNames(parts: readonly ProfilePart[], part: ProfilePart): void {
  const names = Object.keys(part.totals).filter((name) => name !== otherName)
  const countOf = (name: string): number => part.totals[name]?.[0] ?? 0
  names.sort((left, right) => countOf(left) - countOf(right) || (left < right ? -1 : 1))
  for (const name of names) {
    if (countNames(parts) <= profileNameCountMax) return
    const total = part.totals[name]
    delete part.totals[name]
    if (total !== undefined) addTotal(part.totals, otherName, total)
  }
}
