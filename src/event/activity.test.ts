import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import { activityOf } from './activity.ts'
import type { Event, EventType } from './event.ts'

function anEvent(name: string, properties: JsonObject, type: EventType = 'track'): Event {
  return {
    eventId: 'e1',
    sourceId: 'web',
    type,
    name,
    userId: 'ada',
    occurredAtMs: 5,
    receivedAtMs: 6,
    properties,
  }
}

describe('activityOf', () => {
  it('makes one entry per line of an order, with its money in cents', () => {
    const products = [
      { product_id: 'p1', price: 1.005, quantity: 1 },
      { productId: 'p2', price: '19.99', quantity: 3 },
      { sku: 'p3', quantity: 2 },
      { product_id: 42, price: 0.1, quantity: 3 },
    ]
    const order = anEvent('Order Completed', { total: 100, products })
    assert.deepEqual(activityOf(order), [
      { name: 'Order Completed', occurredAtMs: 5, itemId: 'p1', quantity: 1, value: 1.01 },
      { name: 'Order Completed', occurredAtMs: 5, itemId: 'p2', quantity: 3, value: 59.97 },
      { name: 'Order Completed', occurredAtMs: 5, itemId: 'p3', quantity: 2 },
      { name: 'Order Completed', occurredAtMs: 5, itemId: '42', quantity: 3, value: 0.3 },
    ])
  })

  it('prefers product_id to productId to sku', () => {
    const view = anEvent('Product Viewed', { product_id: 'a', productId: 'b', sku: 'c', price: 2 })
    assert.deepEqual(activityOf(view), [
      { name: 'Product Viewed', occurredAtMs: 5, itemId: 'a', value: 2 },
    ])
    assert.equal(activityOf(anEvent('x', { productId: 'b', sku: 'c' }))[0]?.itemId, 'b')
    assert.equal(activityOf(anEvent('x', { product_id: '', sku: 'c' }))[0]?.itemId, 'c')
  })

  it('takes total, else revenue, else value where there is no item', () => {
    const moneyOf = (properties: JsonObject) => activityOf(anEvent('x', properties))[0]?.value
    assert.equal(moneyOf({ total: 3, revenue: 2, value: 1, products: [] }), 3)
    assert.equal(moneyOf({ revenue: 2, value: 1 }), 2)
    assert.equal(moneyOf({ value: 1 }), 1)
    assert.equal(moneyOf({ total: '1,234.50' }), undefined)
    assert.equal(moneyOf({ total: -1 }), undefined)
    assert.equal(moneyOf({ total: 1e308 }), undefined)
  })

  it('has one entry where products name no item, and none for identify calls', () => {
    const broken = anEvent('Cart Viewed', { products: [null, 1, 'x', {}, []] })
    assert.deepEqual(activityOf(broken), [{ name: 'Cart Viewed', occurredAtMs: 5 }])
    assert.deepEqual(activityOf(anEvent('identify', {}, 'identify')), [])
    assert.deepEqual(activityOf(anEvent('Page Viewed', {}, 'page')), [
      { name: 'Page Viewed', occurredAtMs: 5 },
    ])
  })

  it('does not take an id that JSON has rounded', () => {
    const view = anEvent('Product Viewed', { product_id: 2 ** 53 })
    assert.deepEqual(activityOf(view), [{ name: 'Product Viewed', occurredAtMs: 5 }])
  })

  it('takes the stamped price where the producer named none, and never for orders', () => {
    const stamped = { items: { p1: { price: 4, itemVersion: 1 } } }
    const worthOf = (name: string, properties: JsonObject) =>
      activityOf({ ...anEvent(name, properties), stamped })[0]?.value
    assert.equal(worthOf('Product Added', { product_id: 'p1', quantity: 2 }), 8)
    assert.equal(worthOf('Cart Viewed', { products: [{ product_id: 'p1' }] }), 4)
    assert.equal(worthOf('Product Added', { product_id: 'p1', price: 3 }), 3)
    assert.equal(worthOf('Product Added', { product_id: 'p1', price: 'cheap' }), undefined)
    assert.equal(worthOf('Product Added', { product_id: 'toString' }), undefined)
    assert.equal(worthOf('Order Completed', { products: [{ product_id: 'p1' }] }), undefined)
  })
})
