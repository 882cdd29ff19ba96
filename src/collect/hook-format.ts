/**
 * What a webhook's format says of itself: how a delivery proves itself, and what it means. All of
 * it is pure; `hook-route.ts` reads the secrets and remembers what was taken.
 */

import { hashId } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Ask, AskBytes } from './adapter.ts'
import { type HookFields, present } from './hook-fields.ts'

export type Proof =
  /** `hello` is a test of the address, with nothing in it. */
  { readonly kind: 'signed' | 'hello' } | { readonly kind: 'wrong'; readonly says: string }

/** What one delivery means. */
export type Meaning =
  | { readonly kind: 'events'; readonly events: readonly JsonObject[] }
  /** As `catalog/parse-item.ts` takes it. */
  | { readonly kind: 'item'; readonly item: JsonObject }
  /** Nothing wrong with it, and no use for it. */
  | { readonly kind: 'dropped' }
  /** A kind of delivery that is not known here. */
  | { readonly kind: 'unknown'; readonly says: string }

export interface HookFormat {
  prove(ask: AskBytes, secrets: readonly string[], nowMs: number): Proof
  /** Returns what kind of delivery it says it is; '' where only the body says it. */
  topicOf(ask: AskBytes): string
  /** Returns the sender's own id of the delivery, where it is in a header. */
  deliveryIdOf(ask: AskBytes): string | undefined
  /** `faults` of the fields win over the meaning. */
  interpret(ask: Ask, fields: HookFields, delivery: Delivery): Meaning
}

export interface Delivery {
  /** Fit for an event id; the same for every repeat. */
  readonly deliveryId: string
  readonly topic: string
}

/** Leaves room for what is put behind it in an event id of at most 100. */
const deliveryIdPattern = /^[\x21-\x7e]{1,60}$/

/** Returns an id of the delivery that fits into an event id. */
export function fitDeliveryId(id: string): string {
  return deliveryIdPattern.test(id) ? id : hashId(id)
}

/** Who an order, a checkout or an account is of. */
export interface Person {
  readonly userId?: string | undefined
  readonly anonymousId?: string | undefined
  readonly email?: string | undefined
}

/**
 * Returns the ids of a person. Guests have no account: the hash of their address stands for a
 * device, so that their orders meet each other and not those of someone else.
 */
export function idsOf(person: Person): JsonObject | undefined {
  const { userId, email } = person
  const guestId =
    userId === undefined && email !== undefined
      ? `email:${hashId(email.trim().toLowerCase())}`
      : undefined
  const anonymousId = person.anonymousId ?? guestId
  if (userId === undefined && anonymousId === undefined) return undefined
  return present({ userId, anonymousId })
}

/** Returns an identify call, if there is anything to say. */
export function identifyOf(
  ids: JsonObject,
  traits: JsonObject,
  more: { readonly messageId: string; readonly timestamp: string | number | undefined },
): readonly JsonObject[] {
  if (Object.keys(traits).length === 0) return []
  return [present({ type: 'identify', ...ids, traits, ...more })]
}
