/**
 * Sessions, touches, cart and affinities as the API shows them. All of it follows from the version
 * of the profile: what changes by time alone is told by the instant at which it does.
 */

import { timeText } from '../lib/time-text.ts'
import { abandonedAtMsOf, type Cart } from '../profile/cart.ts'
import type {
  HabitView,
  ShownAffinity,
  ShownSession,
  ShownTouch,
} from '../profile/habit/view-habits.ts'

/** Names of a kind that are shown. */
const affinityCountMax = 10

export function showHabits(view: HabitView): Record<string, unknown> {
  const { sessionCount, session, firstTouch, lastTouch, affinities, affinitiesAtMs } = view
  return {
    sessions: {
      count: sessionCount,
      newest: session === undefined ? null : showSession(session),
    },
    firstTouch: showTouch(firstTouch),
    lastTouch: showTouch(lastTouch),
    affinities: {
      at: affinitiesAtMs === 0 ? null : timeText(affinitiesAtMs),
      categories: affinities.category.slice(0, affinityCountMax).map(showAffinity),
      brands: affinities.brand.slice(0, affinityCountMax).map(showAffinity),
      priceBands: affinities.priceBand.slice(0, affinityCountMax).map(showAffinity),
    },
  }
}

/** What the lines of a cart do not say. */
export function showCartState(cart: Cart): Record<string, unknown> {
  const abandonedAtMs = abandonedAtMsOf(cart)
  return {
    value: cart.value,
    removed: cart.removed.map(({ itemId, removedAtMs }) => ({
      itemId,
      removedAt: timeText(removedAtMs),
    })),
    changedAt: showTime(cart.changedAtMs),
    abandonedAt: showTime(abandonedAtMs),
    orderedAt: showTime(cart.orderedAtMs),
  }
}

function showSession(session: ShownSession): Record<string, unknown> {
  const { id, number, startedAtMs, lastEventAtMs, endsAtMs, eventCount, entry } = session
  return {
    ...{ id, number },
    startedAt: timeText(startedAtMs),
    lastEventAt: timeText(lastEventAtMs),
    endsAt: timeText(endsAtMs),
    eventCount,
    entry: showTouch(entry),
  }
}

function showTouch(touch: ShownTouch | undefined): Record<string, unknown> | null {
  if (touch === undefined) return null
  const { atMs, ...rest } = touch
  return { at: timeText(atMs), ...rest }
}

function showAffinity({ name, share, weight }: ShownAffinity): Record<string, unknown> {
  return { name, share: round(share), weight: round(weight) }
}

function showTime(atMs: number | undefined): string | null {
  return atMs === undefined ? null : timeText(atMs)
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
