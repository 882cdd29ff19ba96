import type { JsonObject } from '../lib/json.ts'

/** Why the translation of one item from another format is refused. */
export const itemReasons = ['item-unreadable', 'item-kind-unknown'] as const
export type ItemReason = (typeof itemReasons)[number]

/**
 * One item of another format with what it means: an event in the form of Segment's API, or an item
 * of the catalog.
 */
export type AdaptedItem = {
  /** As the producer sent it, JSON or bytes: what is kept where the event is rejected. */
  readonly original: unknown
} & (
  | { readonly event: JsonObject }
  | { readonly catalogItem: JsonObject }
  | {
      readonly refusal: {
        readonly reason: ItemReason
        /** JSON pointer into the original. */
        readonly path: string
        readonly says: string
      }
    }
)
