/** What the types of the SDK take and refuse; compiled by `npm run check`, never run. */

import type { Attune, Drop } from './attune-browser.d.ts'

export function takes(attune: Attune): void {
  attune.track('Anything', { at: 1, all: ['is', 'taken'] })
  attune.page()
  attune.identify('customer-17', { email: 'ada@shop.example', plan: 'gold' })
  attune.identify(17)
  attune.identify({ email: 'ada@shop.example' })
  attune.productAdded({ product_id: 'cup', cart_id: 'c1', price: 4.25, own: true })
  attune.orderCompleted({ order_id: 'o1', products: [{ product_id: 'cup', quantity: 2 }] })
  addEventListener('attune:drop', ({ detail }) => told(detail))
}

export function refuses(attune: Attune): void {
  // @ts-expect-error: an event has a name
  attune.track()
  // @ts-expect-error: an item has an id
  attune.productViewed({ name: 'A white cup' })
  // @ts-expect-error: a price is a number
  attune.productAdded({ product_id: 'cup', price: '4.25' })
  // @ts-expect-error: an order has an id
  attune.orderCompleted({ products: [] })
  // @ts-expect-error: an order names its products by their ids
  attune.orderCompleted({ order_id: 'o1', products: ['cup'] })
  // @ts-expect-error: there is no such event
  attune.productEaten({ product_id: 'cup' })
}

function told(drop: Drop): readonly string[] {
  return drop.reason === 'expired' ? drop.messageIds : []
}
