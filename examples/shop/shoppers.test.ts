import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { createSeededRandom } from '../../src/lib/random.ts'
import { countMessagesDue } from './expected-messages.ts'
import { readShop, type SegmentCall } from './shop-data.ts'
import { createShoppers, scheduleCalls, shopperShares } from './shoppers.ts'

const folder = fileURLToPath(new URL('./data', import.meta.url))
const shop = await readShop(folder)
const waits = { cartMs: 4_000, thankYouMs: 5_000, loyalMs: 3_000 }
const shopperCount = 1_000

function shoppersOf(seed: number) {
  const random = createSeededRandom(seed)
  return [
    ...createShoppers({
      ...shop,
      waits,
      runId: 't',
      random,
      startMs: 1_000_000,
      shopperCount,
      arrivalMs: 50,
    }),
  ]
}

async function schemaOf(name: string) {
  const text = await readFile(new URL(`./schemas/${name}.json`, import.meta.url), 'utf8')
  return new Ajv2020({ strict: true }).compile(JSON.parse(text))
}

const shoppers = shoppersOf(7)
const calls = scheduleCalls(shoppers)
const isBad = ({ messageId }: SegmentCall) => messageId.includes('-bad-')
const of = (name: string) => calls.filter(({ call }) => call.event === name && !isBad(call))
const isNear = (value: number, wanted: number, slack: number) =>
  assert.ok(Math.abs(value - wanted) <= slack, `${value} is near ${wanted}`)

describe('the simulated shoppers', () => {
  it('are the same for the same seed and others for another', () => {
    assert.deepEqual(shoppersOf(7), shoppers)
    assert.notDeepEqual(shoppersOf(8), shoppers)
  })

  it('send each event under an id of its own, save those sent twice', () => {
    const byId = Map.groupBy(calls, ({ call }) => call.messageId)
    const repeated = [...byId.values()].filter((same) => same.length > 1)
    for (const [first, ...others] of repeated) {
      for (const other of others) assert.deepEqual(other.call, first?.call)
    }
    isNear(repeated.length / byId.size, shopperShares.sentTwice, 0.005)
  })

  it('send invalid events at about the stated share, and all others fit the schemas', async () => {
    const schemas = new Map([
      ['Product Viewed', await schemaOf('product-viewed')],
      ['Product Added', await schemaOf('product-added')],
      ['Order Completed', await schemaOf('order-completed')],
    ])
    for (const { call } of calls) {
      const isFit = schemas.get(call.event ?? '')?.(call.properties ?? {}) ?? call.type !== 'track'
      const hasId = call.userId !== undefined || call.anonymousId !== undefined
      assert.equal(isFit && hasId, !isBad(call), JSON.stringify(call))
    }
    isNear(calls.filter(({ call }) => isBad(call)).length / calls.length, 0.01, 0.005)
  })

  it('have addresses that differ from person to person', () => {
    const identified = calls.filter(({ call }) => call.type === 'identify')
    const people = Map.groupBy(identified, ({ call }) => call.userId)
    const addresses = new Set(identified.map(({ call }) => call.traits?.['email']))
    assert.equal(addresses.size, people.size)
    for (const address of addresses) assert.match(String(address), /^[a-z.]+\d+@shopper\.example$/)
  })

  it('look at items that are bought together far more often than chance would have it', () => {
    const orderCount = shop.orders.length
    const ordersOf = new Map<string, Set<number>>()
    for (const [index, { lines }] of shop.orders.entries()) {
      for (const [itemId] of lines) {
        ordersOf.set(itemId, (ordersOf.get(itemId) ?? new Set()).add(index))
      }
    }
    /** Times the pair is in one order, over what it would be if orders were drawn at random. */
    const lift = ([left, right]: readonly [string, string]) => {
      const lefts = ordersOf.get(left) ?? new Set()
      const rights = ordersOf.get(right) ?? new Set()
      return (
        ([...lefts].filter((index) => rights.has(index)).length * orderCount) /
        lefts.size /
        rights.size
      )
    }
    const median = (pairs: readonly (readonly [string, string])[]) =>
      pairs.map(lift).sort((left, right) => left - right)[pairs.length >> 1] ?? 0
    const visits = shoppers.slice(0, 300).map(({ calls }) => {
      const seen = calls.filter(({ call }) => call.event === 'Product Viewed' && !isBad(call))
      return seen.slice(0, 3).map(({ call }) => String(call.properties?.['product_id']))
    })
    const steps = visits.map(([left = '', right = '']) => [left, right] as const)
    const strangers = steps.map(([left], index) => {
      return [left, steps[(index + 1) % steps.length]?.[1] ?? ''] as const
    })
    const [related, chance] = [median(steps), median(strangers)]
    assert.ok(related > 2 * chance, `${related} against ${chance}`)
  })

  it('abandon about six carts in ten', () => {
    const carts = new Set(of('Product Added').map(({ call }) => call.properties?.['cart_id']))
    const orders = new Set(of('Order Completed').map(({ call }) => call.properties?.['order_id']))
    isNear(1 - orders.size / carts.size, shopperShares.abandons, 0.05)
  })

  it('give every campaign something to send, and never a close call', () => {
    const endMs = Number(calls[0]?.sentAtMs) - 60_000
    const lastMinute = Number(shop.orders.at(-1)?.minute)
    const past = shop.orders
      .filter(({ event, customerId }) => event === 'Order Completed' && customerId !== null)
      .map((order) => ({
        sentAtMs: endMs - (lastMinute - order.minute) * 60_000,
        isBackfill: true,
        call: {
          type: 'track',
          event: order.event,
          userId: `customer-${order.customerId}`,
          properties: { order_id: order.orderId, products: order.lines },
        },
      }))
    const expected = countMessagesDue([...past, ...calls], {
      cartWaitMs: waits.cartMs,
      thankYouWaitMs: waits.thankYouMs,
      loyalWaitMs: waits.loyalMs,
    })
    assert.ok(expected.byCampaign['cart-reminder'] > shopperCount / 2)
    assert.ok(expected.byCampaign['thank-you'] > shopperCount / 5)
    assert.ok(expected.byCampaign['loyal-welcome'] > shopperCount / 100)
    assert.ok(expected.tightestMs >= waits.cartMs / 2, `${expected.tightestMs} ms`)
    assert.equal(expected.invalid, calls.filter(({ call }) => isBad(call)).length)
  })
})
