/**
 * The cart of a person, read off the retained activity of all parts in the order in which it
 * happened. So a late event, or an order on another device, comes to its place by itself; and being
 * abandoned needs no record: it follows from the newest change and the present.
 */

import type { Activity } from './person-view.ts'

export interface CartLine {
  readonly itemId: string
  readonly quantity: number
  readonly addedAtMs: number
}

export type CartState = 'empty' | 'open' | 'abandoned' | 'ordered'

/** A cart that nothing happened to for so long is abandoned, as in BigCommerce. */
const cartAbandonedMs = 3_600_000

export interface Cart {
  /** The newest last. */
  readonly lines: readonly CartLine[]
  /** Taken out again since the newest order, and not put back; the newest last. */
  readonly removed: readonly CartRemoval[]
  /** Of the lines, as far as their events named a price. */
  readonly value: number
  /** When it was last looked at, filled, emptied or taken to the checkout. */
  readonly changedAtMs?: number
  /** The newest order. */
  readonly orderedAtMs?: number
}

export interface CartRemoval {
  readonly itemId: string
  readonly removedAtMs: number
}

/** Events after which a cart is in hand again. */
const touchingNames: ReadonlySet<string> = new Set([
  ...['Product Added', 'Product Removed', 'Cart Viewed', 'Checkout Started'],
  ...['Checkout Step Viewed', 'Checkout Step Completed', 'Payment Info Entered'],
])
/** The event by which items are bought. */
export const orderName = 'Order Completed'

/** Names of the events that change what `viewCart` and `cartStateAt` answer. */
export const cartEventNames: ReadonlySet<string> = new Set([...touchingNames, orderName])

interface OpenLine extends CartLine {
  /** Of one piece, where it is known. */
  readonly price: number
}

/** Reads activity that is in order; an order empties the cart. */
export function viewCart(activity: readonly Activity[]): Cart {
  const lines = new Map<string, OpenLine>()
  const removed = new Map<string, number>()
  let changedAtMs: number | undefined
  let orderedAtMs: number | undefined
  for (const { name, itemId, quantity = 1, value, occurredAtMs } of activity) {
    if (name === orderName) {
      lines.clear()
      removed.clear()
      orderedAtMs = occurredAtMs
    }
    if (!touchingNames.has(name)) continue
    changedAtMs = occurredAtMs
    if (itemId === undefined) continue
    const before = lines.get(itemId)
    if (name === 'Product Added') {
      removed.delete(itemId)
      lines.delete(itemId)
      const sum = (before?.quantity ?? 0) + quantity
      const price = value === undefined ? (before?.price ?? 0) : value / quantity
      lines.set(itemId, { itemId, quantity: sum, addedAtMs: occurredAtMs, price })
    } else if (name === 'Product Removed' && before !== undefined) {
      const rest = before.quantity - quantity
      if (rest > 0) lines.set(itemId, { ...before, quantity: rest })
      else {
        lines.delete(itemId)
        removed.delete(itemId)
        removed.set(itemId, occurredAtMs)
      }
    }
  }
  const open = [...lines.values()]
  const value = open.reduce((sum, { price, quantity }) => sum + price * quantity, 0)
  return {
    lines: open.map(({ itemId, quantity, addedAtMs }) => ({ itemId, quantity, addedAtMs })),
    removed: [...removed].map(([itemId, removedAtMs]) => ({ itemId, removedAtMs })),
    value: Math.round(value * 100) / 100,
    ...(changedAtMs === undefined ? {} : { changedAtMs }),
    ...(orderedAtMs === undefined ? {} : { orderedAtMs }),
  }
}

/** Returns what lies in the cart; the newest line last. */
export function cartOf(activity: readonly Activity[]): readonly CartLine[] {
  return viewCart(activity).lines
}

/** Returns when it is abandoned unless something happens; undefined where it is empty. */
export function abandonedAtMsOf({ lines, changedAtMs = 0 }: Cart): number | undefined {
  return lines.length === 0 ? undefined : changedAtMs + cartAbandonedMs
}

/**
 * Returns the state of a cart: `ordered` where an order has emptied it and nothing was added since.
 */
export function cartStateAt(cart: Cart, nowMs: number): CartState {
  const abandonedAtMs = abandonedAtMsOf(cart)
  if (abandonedAtMs !== undefined) return nowMs < abandonedAtMs ? 'open' : 'abandoned'
  return cart.orderedAtMs === undefined || cart.removed.length > 0 ? 'empty' : 'ordered'
}
