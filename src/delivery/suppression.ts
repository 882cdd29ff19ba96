/**
 * Addresses that must not be written to. Kept in the partition of the address, under its HMAC, so
 * the list survives the erasure of a person and does not tell who is on it.
 */

import { normalizeAddress } from '../event/address.ts'
import { hmacBase64Url } from '../lib/hash.ts'
import { withdrawnCountMax } from '../profile/person.ts'

export const suppressionPrefix = 'suppression/'
export const suppressionReasons = ['unsubscribed', 'bounced', 'complained', 'manual'] as const
export type SuppressionReason = (typeof suppressionReasons)[number]

/** What a `suppress` record says; its skeleton. The record's key is the address key. */
export interface SuppressSkeleton {
  /** One topic, or `*` for all mail. */
  readonly topic: string
  readonly reason: SuppressionReason
  readonly atMs: number
  /** True lifts the suppression. */
  readonly isLifted: boolean
}

/** By topic. */
export type Suppression = Record<
  string,
  { readonly reason: SuppressionReason; readonly atMs: number }
>

/** By secret, then by address: one attempt asks three times for the key of the same address. */
const recentKeys = new WeakMap<Uint8Array, Map<string, string>>()
const recentCountMax = 256

/** Returns the identity key of an address: `address:` and its HMAC. */
export function addressKeyOf(secret: Uint8Array, address: string): string {
  const recent = recentKeys.get(secret) ?? new Map<string, string>()
  const known = recent.get(address)
  if (known !== undefined) return known
  const key = `address:${hmacBase64Url(secret, normalizeAddress(address), 18)}`
  if (recent.size >= recentCountMax) recent.clear()
  recentKeys.set(secret, recent.set(address, key))
  return key
}

/**
 * Returns what to suppress where one more topic is left: all mail, where an address has as many
 * topics already as a person can leave one by one. Without a limit the list of an address would
 * outgrow what a store takes for one value, and its partition would stand still.
 */
export function topicToSuppress(suppression: Suppression | undefined, topic: string): string {
  if (suppression === undefined || Object.hasOwn(suppression, topic)) return topic
  return Object.keys(suppression).length < withdrawnCountMax ? topic : '*'
}

/** Tells whether mail of `topic` must not be sent. */
export function isSuppressed(suppression: Suppression | undefined, topic: string): boolean {
  if (suppression === undefined) return false
  return Object.hasOwn(suppression, '*') || Object.hasOwn(suppression, topic)
}
