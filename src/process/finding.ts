/**
 * What the fold finds wrong with the data while it applies it: counted by kind in the partition's
 * meta, with the places of the newest few of each kind in an entry beside it.
 *
 * A finding changes nothing else: the event was accepted and is in the log, at the place that the
 * finding names. Findings follow from the log like all of the state, so they are part of the
 * canonical dump. They name no person and no value.
 */

import type { Event } from '../event/event.ts'
import type { JsonObject } from '../lib/json.ts'
import type { LogRecord } from '../log/record.ts'
import type { Person } from '../profile/person.ts'
import { type FoldScope, jsonCodec } from './scope.ts'

export const findingKinds = {
  'id-conflict': 'Another event came under an id that was seen; the first counts.',
  late: 'Older than the grace period: it changes the profile and triggers nothing.',
  'time-ahead': 'From further ahead than a clock may be; bounded.',
  'time-behind': 'From before what is kept; bounded.',
  'time-unreadable': 'Its time cannot be read; the time of receipt counts.',
  'plan-mismatch': 'Its schema refuses it, and the plan takes it all the same.',
  'item-unknown': 'An order of an item that the catalog did not have.',
  'amount-negative': 'An order or a line of it with a negative amount.',
  'currency-changed': 'An order in another currency than the order before.',
  'merge-refused': 'Two keys were not joined, by a limit or since they were taken apart.',
  'identity-shared': 'More people have a device or an external id than may; it joins nobody.',
  'identity-contested': 'A device or an external id came to another user than had it.',
} as const
export type FindingKind = keyof typeof findingKinds

/** Newest first: where the event is in the log, when it was folded, what it is called. */
export interface FindingPlace {
  readonly offset: number
  readonly atMs: number
  readonly name: string
}
export type FindingSample = Partial<Record<FindingKind, readonly FindingPlace[]>>

export const findingsKey = 'part/findings'
export const findingsCodec = jsonCodec<FindingSample>()
export const samplePlaceCountMax = 20
const nameLengthMax = 80
const amounts = ['total', 'revenue', 'value', 'subtotal', 'price', 'quantity'] as const
const timeFindings: ReadonlyMap<unknown, FindingKind> = new Map([
  ['future-bounded', 'time-ahead'],
  ['past-bounded', 'time-behind'],
  ['unreadable', 'time-unreadable'],
])

/** Counts findings and keeps where they are. */
export async function noteFindings(
  scope: FoldScope,
  kinds: readonly FindingKind[],
  of: { readonly record: LogRecord; readonly name: string },
): Promise<void> {
  await scope.view.load([findingsKey])
  const sample: Record<string, readonly FindingPlace[]> = {
    ...scope.view.read(findingsKey, findingsCodec),
  }
  scope.meta.findings ??= {}
  for (const kind of kinds) {
    const { findings } = scope.meta
    findings[kind] = (findings[kind] ?? 0) + 1
    const name = of.name.slice(0, nameLengthMax)
    const place = { offset: of.record.offset, atMs: scope.nowMs, name }
    sample[kind] = [place, ...(sample[kind] ?? [])].slice(0, samplePlaceCountMax)
    scope.effects.push({ kind: 'found', finding: kind })
  }
  scope.view.write(findingsKey, sample, findingsCodec)
}

/**
 * Returns what is odd about an event that is applied to `person`, and remembers the currency of the
 * person's orders.
 */
export function findOddities(
  person: Person,
  event: Event,
  is: { readonly late: boolean },
): readonly FindingKind[] {
  const kinds: FindingKind[] = []
  const ofTime = timeFindings.get(event.timeNote)
  if (ofTime !== undefined) kinds.push(ofTime)
  else if (is.late) kinds.push('late')
  if (event.planFault !== undefined) kinds.push('plan-mismatch')
  const { type, name, properties } = event
  if (type !== 'track' || properties === undefined || !name.startsWith('Order ')) return kinds
  if (name === 'Order Completed' && event.stamped?.unknown !== undefined) {
    kinds.push('item-unknown')
  }
  if (hasNegative(properties)) kinds.push('amount-negative')
  const { currency } = properties
  if (typeof currency !== 'string' || currency.length !== 3) return kinds
  if (person.currency !== undefined && person.currency !== currency) kinds.push('currency-changed')
  person.currency = currency
  return kinds
}

function hasNegative(properties: JsonObject): boolean {
  const { products } = properties
  const lines = Array.isArray(products) ? (products as readonly unknown[]) : []
  return [properties, ...lines].some((holder) =>
    amounts.some((name) => Number((holder as JsonObject | null)?.[name]) < 0),
  )
}
