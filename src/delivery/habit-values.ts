/** What templates see of sessions, touches, the cart and affinities, as of the render. */

import type { JsonObject } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import { type Cart, cartStateAt } from '../profile/cart.ts'
import {
  agedWeight,
  type ShownAffinity,
  type ShownTouch,
  viewHabits,
} from '../profile/habit/view-habits.ts'
import type { Person } from '../profile/person.ts'

/** Names of a kind that a template sees. */
const affinityCountMax = 10

/** Returns fields of `profile`. */
export function habitValues({ parts }: Person, cart: Cart, nowMs: number): JsonObject {
  const view = viewHabits(parts)
  const { sessionCount, session, firstTouch, lastTouch, affinities, affinitiesAtMs } = view
  const show = (list: readonly ShownAffinity[]): readonly JsonObject[] =>
    list.slice(0, affinityCountMax).map(({ name, share, weight }) => ({
      name,
      share: round(share),
      interest: round(agedWeight(weight, nowMs - affinitiesAtMs)),
    }))
  return {
    cart_state: cartStateAt(cart, nowMs),
    cart_value: cart.value,
    session_count: sessionCount,
    ...(session === undefined
      ? {}
      : {
          session: {
            is_active: nowMs < session.endsAtMs,
            started_at: timeText(session.startedAtMs),
            event_count: session.eventCount,
            ...(session.entry === undefined ? {} : { entry: showTouch(session.entry) }),
          },
        }),
    ...(firstTouch === undefined ? {} : { first_touch: showTouch(firstTouch) }),
    ...(lastTouch === undefined ? {} : { last_touch: showTouch(lastTouch) }),
    affinities: {
      categories: show(affinities.category),
      brands: show(affinities.brand),
      price_bands: show(affinities.priceBand),
    },
  }
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}

function showTouch({ atMs, landingPage, ...touch }: ShownTouch): JsonObject {
  return {
    at: timeText(atMs),
    ...touch,
    ...(landingPage === undefined ? {} : { landing_page: landingPage }),
  }
}
