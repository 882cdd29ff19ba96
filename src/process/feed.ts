/**
 * The feed of a partition: what the recommendation index learns from, as entries of the state,
 * numbered by `feedNext` of the partition's meta.
 *
 * An entry holds the interactions of one applied event; or it names an item that changed, which is
 * read from its own key; or it says which profiles of this partition were erased: what stands
 * before it of them counts no more, and an index forgets them where it comes to it. The newest
 * `feedCountMax` entries are kept: who follows reads those behind the last one it knows, and who
 * starts reads all.
 */

import type { Event } from '../event/event.ts'
import type { PackedActivity } from '../profile/activity-pack.ts'
import { interactionKindOf } from '../recommend/advice-request.ts'
import type { Interaction, InteractionKind } from '../recommend/recommender.ts'
import { type FoldScope, feedPrefix, hex, jsonCodec } from './scope.ts'

/** Entries of the feed kept per partition; the index is rebuilt from them. */
export const feedCountMax = 200_000

type PackedInteraction = [profileId: string, itemId: string, kind: InteractionKind, atMs: number]
/** An item is named by its id. */
type PackedEntry = readonly PackedInteraction[] | string | { readonly erased: readonly string[] }
const feedCodec = jsonCodec<PackedEntry>()

export interface FeedEntry {
  readonly interactions: readonly Interaction[]
  /** An item that changed. */
  readonly itemId?: string
  /** Profiles, by the keys that led them in this partition. */
  readonly erased?: readonly string[]
}

/** Returns the key of an entry; keys order by number. */
export function feedKey(number: number): string {
  return feedPrefix + hex(number, 12)
}

/** Returns the number of an entry. */
export function numberOf(key: string): number {
  return Number.parseInt(key.slice(feedPrefix.length), 16)
}

export function feedInteractions(
  scope: FoldScope,
  profileId: string,
  event: Event,
  activity: readonly PackedActivity[],
): void {
  const kind = Object.hasOwn(interactionKindOf, event.name)
    ? interactionKindOf[event.name]
    : undefined
  if (kind === undefined) return
  const { occurredAtMs } = event
  const interactions = activity.flatMap(({ itemId }): readonly Interaction[] =>
    itemId === undefined ? [] : [{ profileId, itemId, kind, occurredAtMs }],
  )
  if (interactions.length === 0) return
  const number = push(scope, interactions.map(packInteraction))
  scope.effects.push({ kind: 'learned', number, interactions })
}

export function feedItem(scope: FoldScope, itemId: string): void {
  push(scope, itemId)
}

/** Tells whoever learned of these profiles to forget them. */
export function feedErasure(scope: FoldScope, profileIds: readonly string[]): void {
  const number = push(scope, { erased: profileIds })
  scope.effects.push({ kind: 'erased', number, profileIds })
}

/** Returns what one entry of the feed says. */
export function decodeFeed(bytes: Uint8Array): FeedEntry {
  const entry = feedCodec.decode(bytes)
  if (typeof entry === 'string') return { interactions: [], itemId: entry }
  if ('erased' in entry) return { interactions: [], erased: entry.erased }
  return {
    interactions: entry.map(([profileId, itemId, kind, occurredAtMs]) => ({
      profileId,
      itemId,
      kind,
      occurredAtMs,
    })),
  }
}

function push({ meta, view }: FoldScope, entry: PackedEntry): number {
  const next = meta.feedNext++
  view.write(feedKey(next), entry, feedCodec)
  if (next > feedCountMax) view.remove(feedKey(next - feedCountMax))
  return next
}

function packInteraction(interaction: Interaction): PackedInteraction {
  const { profileId, itemId, kind, occurredAtMs } = interaction
  return [profileId, itemId, kind, occurredAtMs]
}
