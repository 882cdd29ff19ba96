import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { abandonedAtMsOf, cartStateAt, viewCart } from './cart.ts'
import type { Activity } from './person-view.ts'

const hourMs = 3_600_000

function stateOf(activity: readonly Activity[], nowMs: number): string {
  return cartStateAt(viewCart(activity), nowMs)
}

function did(name: string, occurredAtMs: number, itemId?: string, quantity?: number): Activity {
  const given = { ...(itemId ? { itemId } : {}), ...(quantity ? { quantity } : {}) }
  return { name, occurredAtMs, ...given }
}

describe('a cart', () => {
  const added = did('Product Added', 10, 'a', 2)

  it('is abandoned an hour after the newest change, look or step to the checkout', () => {
    assert.equal(stateOf([added], 10 + hourMs - 1), 'open')
    assert.equal(stateOf([added], 10 + hourMs), 'abandoned')
    for (const name of ['Cart Viewed', 'Checkout Started', 'Product Removed']) {
      const activity = [added, did(name, 500, 'a')]
      assert.equal(stateOf(activity, 499 + hourMs), 'open', name)
      assert.equal(stateOf(activity, 500 + hourMs), 'abandoned', name)
    }
    const looked = [added, did('Product Viewed', 500, 'a')]
    assert.equal(stateOf(looked, 10 + hourMs), 'abandoned', 'looking at an item is none')
    assert.equal(abandonedAtMsOf(viewCart([])), undefined)
  })

  it('is ordered by an order that empties it, and open again by what comes later', () => {
    const ordered = [added, did('Order Completed', 20, 'a')]
    assert.equal(stateOf(ordered, 10 * hourMs), 'ordered')
    assert.equal(viewCart(ordered).orderedAtMs, 20)
    assert.equal(stateOf([...ordered, did('Product Added', 30, 'b')], 40), 'open')
    const put = [...ordered, did('Product Added', 30, 'b'), did('Product Removed', 31, 'b')]
    assert.equal(stateOf(put, 10 * hourMs), 'empty')
    assert.equal(stateOf([], 5), 'empty')
  })

  it('tells what was taken out and not put back, and what the rest is worth', () => {
    const priced = { ...did('Product Added', 10, 'a', 3), value: 30 }
    const activity = [
      ...[priced, did('Product Added', 11, 'b'), did('Product Removed', 12, 'a', 1)],
      ...[did('Product Removed', 13, 'b'), did('Product Added', 14, 'c')],
      did('Product Removed', 15, 'c'),
    ]
    const { lines, removed, value } = viewCart(activity)
    assert.deepEqual(lines, [{ itemId: 'a', quantity: 2, addedAtMs: 10 }])
    assert.equal(value, 20)
    assert.deepEqual(removed, [
      { itemId: 'b', removedAtMs: 13 },
      { itemId: 'c', removedAtMs: 15 },
    ])
    assert.deepEqual(viewCart([...activity, did('Product Added', 16, 'b')]).removed, [
      { itemId: 'c', removedAtMs: 15 },
    ])
    assert.deepEqual(viewCart([...activity, did('Order Completed', 17)]).removed, [])
  })
})
