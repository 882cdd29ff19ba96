/**
 * Shopify's webhooks, as events of Segment's ecommerce spec. Facts: shopify.dev, "HTTPS webhook
 * delivery" and the REST resources Order, Checkout, Customer.
 *
 * A checkout nobody has put a name to yet, and a refund (`refunds/create` names no person), are
 * dropped: the checkout comes again when the address is known, and the refund is read from the
 * `orders/updated` that goes with it.
 */

import type { Json, JsonObject } from '../lib/json.ts'
import type { AskBytes } from './adapter.ts'
import { type HookFields, present } from './hook-fields.ts'
import {
  type Delivery,
  fitDeliveryId,
  type HookFormat,
  identifyOf,
  idsOf,
  type Meaning,
  type Person,
  type Proof,
} from './hook-format.ts'
import { shopifyItem, shopifyRemoval } from './shopify-product.ts'
import { isSignedBy, parseDigest, singleHeader } from './signature.ts'

/** What each topic becomes; the guide prints this table. */
export const shopifyTopics: Readonly<Record<string, string>> = {
  'orders/create': 'Order Completed',
  'orders/updated': 'Order Updated, and Order Refunded for each refund of the last day',
  'orders/paid': 'Order Paid',
  'orders/cancelled': 'Order Cancelled',
  'refunds/create': 'dropped: names no person; see orders/updated',
  'checkouts/create': 'Checkout Started, once for a checkout that names a person',
  'checkouts/update': 'Checkout Started, once for a checkout; Checkout Updated',
  'customers/create': 'identify',
  'customers/update': 'identify',
  'customers/data_request': 'Customer Data Requested',
  'customers/redact': 'Customer Redact Requested',
  'shop/redact': 'Shop Redact Requested',
  'products/create': 'item of the catalog; taken away where it is not active',
  'products/update': 'as products/create',
  'products/delete': 'item taken away',
}

/** The name under which a shop's page puts the device's id among an order's notes. */
export const anonymousIdNote = 'attune_anonymous_id'

const refundMsMax = 24 * 3_600_000
const signatureHeader = 'x-shopify-hmac-sha256'

export const shopifyHook: HookFormat = {
  prove,
  topicOf: ({ headers }) => singleHeader(headers['x-shopify-topic']) ?? '',
  deliveryIdOf: ({ headers }) => singleHeader(headers['x-shopify-webhook-id']),
  interpret: ({ headers }, fields, delivery) => {
    const { topic } = delivery
    if (topic === 'products/create' || topic === 'products/update') {
      const domain = singleHeader(headers['x-shopify-shop-domain'])
      return { kind: 'item', item: shopifyItem(fields, domain) }
    }
    return interpret(fields, delivery)
  },
}

function prove({ headers, bytes }: AskBytes, secrets: readonly string[]): Proof {
  const digest = parseDigest(singleHeader(headers[signatureHeader]) ?? '', 'base64')
  if (isSignedBy(secrets, [bytes], digest)) return { kind: 'signed' }
  return { kind: 'wrong', says: 'X-Shopify-Hmac-SHA256 is not that of the body.' }
}

function interpret(fields: HookFields, delivery: Delivery): Meaning {
  const { topic } = delivery
  if (topic === 'orders/updated') return updateOf(fields, delivery)
  if (topic.startsWith('orders/') && Object.hasOwn(shopifyTopics, topic)) {
    const name = shopifyTopics[topic] ?? ''
    const timestamp = topic === 'orders/cancelled' ? fields.text('cancelled_at') : undefined
    return orderOf(fields, delivery, [{ name, timestamp: timestamp ?? orderTime(fields, topic) }])
  }
  if (topic === 'checkouts/create' || topic === 'checkouts/update') {
    return checkoutOf(fields, delivery)
  }
  if (topic === 'customers/create' || topic === 'customers/update') {
    return accountOf(fields, delivery)
  }
  if (topic === 'customers/data_request')
    return privacyOf(fields, delivery, 'Customer Data Requested')
  if (topic === 'customers/redact') return privacyOf(fields, delivery, 'Customer Redact Requested')
  if (topic === 'shop/redact') return privacyOf(fields, delivery, 'Shop Redact Requested')
  if (topic === 'products/delete') return { kind: 'item', item: shopifyRemoval(fields) }
  if (Object.hasOwn(shopifyTopics, topic)) return { kind: 'dropped' }
  return { kind: 'unknown', says: 'X-Shopify-Topic is none that is known here.' }
}

function orderTime(fields: HookFields, topic: string): string | undefined {
  return fields.text(topic === 'orders/create' ? 'created_at' : 'updated_at')
}

interface Call {
  readonly name: string
  readonly timestamp: string | undefined
  /** Absent: that of the delivery. */
  readonly messageId?: string
  /** Absent: those of the order. */
  readonly properties?: JsonObject
}

function orderOf(fields: HookFields, delivery: Delivery, calls: readonly Call[]): Meaning {
  const person = personOf(fields)
  const ids = idsOf(person)
  const properties = orderProperties(fields)
  const traits = traitsOf(fields, person)
  const { deliveryId } = delivery
  const more = { messageId: `${deliveryId}-identify`, timestamp: calls[0]?.timestamp }
  // Whoever cannot be named is rejected by the collector, as anybody's event would be.
  const tracks = calls.map((call) =>
    present({
      type: 'track',
      event: call.name,
      ...ids,
      messageId: call.messageId ?? deliveryId,
      timestamp: call.timestamp,
      properties: call.properties ?? properties,
    }),
  )
  return { kind: 'events', events: [...(ids ? identifyOf(ids, traits, more) : []), ...tracks] }
}

function updateOf(fields: HookFields, delivery: Delivery): Meaning {
  const timestamp = fields.text('updated_at')
  const updatedAtMs = timeOf(timestamp)
  const refunds = fields.list('refunds').flatMap((refund): readonly Call[] => {
    const id = refund.id('id')
    const refundedAt = refund.text('created_at')
    // An old refund comes with every later update, when its event id is no longer remembered.
    const isRecent = updatedAtMs - timeOf(refundedAt) <= refundMsMax
    if (id === undefined || !isRecent) return []
    const properties = refundProperties(fields, refund)
    return [
      { name: 'Order Refunded', timestamp: refundedAt, messageId: `refund-${id}`, properties },
    ]
  })
  return orderOf(fields, delivery, [{ name: 'Order Updated', timestamp }, ...refunds])
}

/** Only differences between two times of one payload are read, so any zone will do. */
function timeOf(text: string | undefined): number {
  return text === undefined ? 0 : Date.parse(text) || 0
}

function orderProperties(fields: HookFields): JsonObject {
  const subtotal = fields.money('subtotal_price')
  const shipping = fields.object('total_shipping_price_set')?.object('shop_money')?.money('amount')
  return present({
    order_id: fields.id('id'),
    order_number: fields.text('name'),
    checkout_id: fields.id('checkout_token'),
    total: fields.money('total_price'),
    subtotal,
    revenue: subtotal,
    shipping,
    tax: fields.money('total_tax'),
    discount: fields.money('total_discounts'),
    coupon: fields.list('discount_codes')[0]?.text('code'),
    currency: fields.currency('currency'),
    financial_status: fields.text('financial_status'),
    cancel_reason: fields.text('cancel_reason'),
    products: productsOf(fields),
  })
}

function refundProperties(order: HookFields, refund: HookFields): JsonObject {
  const transactions = refund.list('transactions')
  const paid = transactions.filter(
    (each) =>
      each.text('kind') === 'refund' && !/^(failure|error)$/.test(each.text('status') ?? ''),
  )
  const amounts = paid.map((each) => each.money('amount') ?? 0)
  const lines = refund.list('refund_line_items').flatMap((line): readonly Json[] => {
    const item = line.object('line_item')
    return item === undefined ? [] : [{ ...productOf(item), ...quantityOf(line) }]
  })
  return present({
    order_id: order.id('id'),
    refund_id: refund.id('id'),
    total: amounts.length === 0 ? undefined : sumOf(amounts),
    currency: order.currency('currency'),
    products: lines.length === 0 ? undefined : lines,
  })
}

/** Adds amounts without the dust of binary fractions. */
function sumOf(amounts: readonly number[]): number {
  return Number(amounts.reduce((sum, amount) => sum + amount, 0).toFixed(6))
}

function productsOf(fields: HookFields): readonly JsonObject[] | undefined {
  const lines = fields.list('line_items')
  if (lines.length === 0) return undefined
  return lines.map((line) => ({ ...productOf(line), ...quantityOf(line) }))
}

function productOf(line: HookFields): JsonObject {
  return present({
    product_id: line.id('product_id'),
    sku: line.text('sku'),
    name: line.text('title'),
    variant: line.text('variant_title'),
    brand: line.text('vendor'),
    price: line.money('price'),
  })
}

function quantityOf(line: HookFields): JsonObject {
  return present({ quantity: line.quantity('quantity') })
}

function checkoutOf(fields: HookFields, delivery: Delivery): Meaning {
  const person = personOf(fields)
  const ids = idsOf(person)
  if (ids === undefined) return { kind: 'dropped' }
  const token = fields.id('token')
  const subtotal = fields.money('subtotal_price')
  const properties = present({
    checkout_id: token,
    order_id: fields.id('order_id'),
    total: fields.money('total_price'),
    value: fields.money('total_price'),
    subtotal,
    revenue: subtotal,
    tax: fields.money('total_tax'),
    discount: fields.money('total_discounts'),
    coupon: fields.list('discount_codes')[0]?.text('code'),
    currency: fields.currency('currency'),
    checkout_url: fields.text('abandoned_checkout_url'),
    products: productsOf(fields),
  })
  const { deliveryId, topic } = delivery
  const timestamp = fields.text('updated_at') ?? fields.text('created_at')
  const track = (event: string, messageId: string): JsonObject =>
    present({ type: 'track', event, ...ids, messageId, timestamp, properties })
  const isOver = fields.text('completed_at') !== undefined
  const startId = `checkout-${fitDeliveryId(token ?? deliveryId)}`
  const events = [
    ...identifyOf(ids, traitsOf(fields, person), {
      messageId: `${deliveryId}-identify`,
      timestamp,
    }),
    ...(isOver ? [] : [track('Checkout Started', startId)]),
    ...(topic === 'checkouts/update' ? [track('Checkout Updated', deliveryId)] : []),
  ]
  return { kind: 'events', events }
}

function accountOf(fields: HookFields, delivery: Delivery): Meaning {
  const person = { userId: fields.id('id'), email: fields.text('email') }
  const timestamp = fields.text('updated_at')
  const traits = { ...customerTraits(fields), ...addressTraits(fields, 'default_address') }
  const { deliveryId: messageId } = delivery
  const event = present({ type: 'identify', ...idsOf(person), traits, messageId, timestamp })
  return { kind: 'events', events: [event] }
}

/** These ask the shop for something; they are kept as events for whoever answers them. */
function privacyOf(fields: HookFields, delivery: Delivery, event: string): Meaning {
  const customer = fields.object('customer')
  const person = { userId: customer?.id('id'), email: customer?.text('email') }
  const shopId = fields.id('shop_id')
  const shop = customer === undefined && shopId !== undefined ? `shop:${shopId}` : undefined
  const properties = present({
    shop_id: shopId,
    shop_domain: fields.text('shop_domain'),
    email: person.email,
    data_request_id: fields.object('data_request')?.id('id'),
  })
  const ids = idsOf({ ...person, anonymousId: shop })
  const { deliveryId: messageId } = delivery
  return {
    kind: 'events',
    events: [present({ type: 'track', event, ...ids, messageId, properties })],
  }
}

function personOf(fields: HookFields): Person {
  const customer = fields.object('customer')
  const note = fields.list('note_attributes').find((each) => each.text('name') === anonymousIdNote)
  return {
    userId: customer?.id('id'),
    anonymousId: note?.text('value'),
    email: fields.text('email') ?? fields.text('contact_email') ?? customer?.text('email'),
  }
}

function traitsOf(fields: HookFields, person: Person): JsonObject {
  const customer = fields.object('customer')
  return present({
    ...(customer === undefined ? {} : customerTraits(customer)),
    email: person.email,
    phone: fields.text('phone') ?? customer?.text('phone'),
    ...addressTraits(fields, 'billing_address'),
  })
}

function customerTraits(customer: HookFields): JsonObject {
  return present({
    email: customer.text('email'),
    firstName: customer.text('first_name'),
    lastName: customer.text('last_name'),
    phone: customer.text('phone'),
    createdAt: customer.text('created_at'),
    acceptsMarketing: consentOf(customer),
  })
}

function consentOf(customer: HookFields): boolean | undefined {
  const state = customer.object('email_marketing_consent')?.text('state')
  return state === undefined ? undefined : state === 'subscribed'
}

function addressTraits(fields: HookFields, name: string): JsonObject {
  const address = fields.object(name)
  if (address === undefined) return {}
  const parts = present({
    street: address.text('address1'),
    city: address.text('city'),
    state: address.text('province'),
    postalCode: address.text('zip'),
    country: address.text('country_code'),
  })
  return Object.keys(parts).length === 0 ? {} : { address: parts }
}
