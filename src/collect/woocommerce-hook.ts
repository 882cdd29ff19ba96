/**
 * WooCommerce's webhooks, as events of Segment's ecommerce spec. Facts: WooCommerce's REST API
 * documentation and `class-wc-webhook.php`.
 *
 * An order is completed when it is paid, which the system says in an update as often as at its
 * creation, and again in each later one. So `Order Completed` has the order for its event id and
 * is made only within a day of the payment: less than the time for which event ids are remembered.
 */

import type { JsonObject } from '../lib/json.ts'
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
import { isSignedBy, parseDigest, singleHeader } from './signature.ts'
import { woocommerceItem, woocommerceRemoval } from './woocommerce-product.ts'

/** What each topic becomes; the guide prints this table. */
export const woocommerceTopics: Readonly<Record<string, string>> = {
  'order.created': 'Checkout Started where it waits for payment, else as order.updated',
  'order.updated':
    'Order Completed once, within a day of its payment (processing, completed); ' +
    'Order Cancelled; Order Refunded; else Order Updated',
  'order.deleted': 'dropped: names no person',
  'order.restored': 'as order.updated',
  'customer.created': 'identify',
  'customer.updated': 'identify',
  'customer.deleted': 'dropped',
  'product.created': 'item of the catalog; taken away where it is not published',
  'product.updated': 'as product.created',
  'product.deleted': 'item taken away',
  'product.restored': 'as product.created',
  'coupon.created': 'dropped: names no person',
  'coupon.updated': 'dropped: names no person',
  'coupon.deleted': 'dropped: names no person',
  'coupon.restored': 'dropped: names no person',
}

/** The key under which a shop's page puts the device's id among an order's meta data. */
const anonymousIdKey = 'attune_anonymous_id'

const paidMsMax = 24 * 3_600_000
const waiting: ReadonlySet<string | undefined> = new Set(['pending', 'on-hold', 'checkout-draft'])
const paid: ReadonlySet<string | undefined> = new Set(['processing', 'completed'])

export const woocommerceHook: HookFormat = {
  prove,
  topicOf: ({ headers }) => singleHeader(headers['x-wc-webhook-topic']) ?? '',
  deliveryIdOf: ({ headers }) => singleHeader(headers['x-wc-webhook-delivery-id']),
  interpret: (_ask, fields, delivery) => interpret(fields, delivery),
}

/** When a webhook is saved, the system sends an unsigned form, and wants 200. */
function prove({ headers, bytes }: AskBytes, secrets: readonly string[]): Proof {
  const signature = singleHeader(headers['x-wc-webhook-signature'])
  if (signature === undefined && bytes.length <= 40) {
    if (/^webhook_id=\d{1,20}$/.test(Buffer.from(bytes).toString())) return { kind: 'hello' }
  }
  const digest = parseDigest(signature ?? '', 'base64')
  if (isSignedBy(secrets, [bytes], digest)) return { kind: 'signed' }
  return { kind: 'wrong', says: 'X-WC-Webhook-Signature is not that of the body.' }
}

function interpret(fields: HookFields, delivery: Delivery): Meaning {
  const { topic } = delivery
  if (topic === 'order.created' || topic === 'order.updated' || topic === 'order.restored') {
    return orderOf(fields, delivery)
  }
  if (topic === 'customer.created' || topic === 'customer.updated') {
    return accountOf(fields, delivery)
  }
  if (topic === 'product.deleted') return { kind: 'item', item: woocommerceRemoval(fields) }
  if (topic.startsWith('product.') && Object.hasOwn(woocommerceTopics, topic)) {
    return { kind: 'item', item: woocommerceItem(fields) }
  }
  if (Object.hasOwn(woocommerceTopics, topic)) return { kind: 'dropped' }
  return { kind: 'unknown', says: 'X-WC-Webhook-Topic is none that is known here.' }
}

function orderOf(fields: HookFields, delivery: Delivery): Meaning {
  const person = personOf(fields)
  const ids = idsOf(person)
  const { deliveryId } = delivery
  const timestamp = timeOf(fields, 'date_modified_gmt')
  const call = callOf(fields, delivery)
  const traits = traitsOf(fields, person)
  const more = { messageId: `${deliveryId}-identify`, timestamp }
  const track = present({
    type: 'track',
    event: call.name,
    ...ids,
    messageId: call.messageId,
    timestamp: call.timestamp ?? timestamp,
    properties: propertiesOf(fields),
  })
  return { kind: 'events', events: [...(ids ? identifyOf(ids, traits, more) : []), track] }
}

interface Call {
  readonly name: string
  readonly messageId: string
  readonly timestamp?: string | undefined
}

function callOf(fields: HookFields, delivery: Delivery): Call {
  const { deliveryId, topic } = delivery
  const id = fitDeliveryId(fields.id('id') ?? deliveryId)
  const status = fields.text('status')
  const paidAt = timeOf(fields, 'date_paid_gmt') ?? timeOf(fields, 'date_created_gmt')
  const modifiedAt = timeOf(fields, 'date_modified_gmt')
  const isRecent = Date.parse(modifiedAt ?? '') - Date.parse(paidAt ?? '') <= paidMsMax
  if (paid.has(status) && (isRecent || topic === 'order.created')) {
    return { name: 'Order Completed', messageId: `order-${id}-completed`, timestamp: paidAt }
  }
  if (status === 'cancelled') return { name: 'Order Cancelled', messageId: `order-${id}-cancelled` }
  if (status === 'refunded') return { name: 'Order Refunded', messageId: `order-${id}-refunded` }
  if (topic === 'order.created' && waiting.has(status)) {
    const timestamp = timeOf(fields, 'date_created_gmt')
    return { name: 'Checkout Started', messageId: `order-${id}-started`, timestamp }
  }
  return { name: 'Order Updated', messageId: deliveryId }
}

/** Times in `..._gmt` are of UTC and do not say so. */
function timeOf(fields: HookFields, name: string): string | undefined {
  const text = fields.text(name)
  return text === undefined || /[Zz]$/.test(text) ? text : `${text}Z`
}

function propertiesOf(fields: HookFields): JsonObject {
  const total = fields.money('total')
  const tax = fields.money('total_tax')
  const shipping = fields.money('shipping_total')
  const rest = total === undefined ? undefined : total - (tax ?? 0) - (shipping ?? 0)
  const subtotal = rest === undefined ? undefined : Math.max(0, Number(rest.toFixed(6)))
  const lines = fields.list('line_items')
  return present({
    order_id: fields.id('id'),
    order_number: fields.id('number'),
    status: fields.text('status'),
    total,
    subtotal,
    revenue: subtotal,
    shipping,
    tax,
    discount: fields.money('discount_total'),
    coupon: fields.list('coupon_lines')[0]?.text('code'),
    currency: fields.currency('currency'),
    payment_url: fields.text('payment_url'),
    products: lines.length === 0 ? undefined : lines.map(productOf),
  })
}

function productOf(line: HookFields): JsonObject {
  return present({
    product_id: line.id('product_id'),
    sku: line.text('sku'),
    name: line.text('name'),
    price: line.money('price'),
    quantity: line.quantity('quantity'),
    image_url: line.object('image')?.text('src'),
  })
}

function accountOf(fields: HookFields, delivery: Delivery): Meaning {
  const person = { userId: fields.id('id'), email: fields.text('email') }
  const traits = present({
    ...addressTraits(fields),
    email: person.email,
    firstName: fields.text('first_name'),
    lastName: fields.text('last_name'),
    createdAt: timeOf(fields, 'date_created_gmt'),
  })
  const timestamp = timeOf(fields, 'date_modified_gmt')
  const { deliveryId: messageId } = delivery
  const event = present({ type: 'identify', ...idsOf(person), traits, messageId, timestamp })
  return { kind: 'events', events: [event] }
}

function personOf(fields: HookFields): Person {
  // The value of other meta data may be of any type.
  const meta = fields.list('meta_data').find((each) => each.id('key') === anonymousIdKey)
  return {
    userId: fields.id('customer_id'),
    anonymousId: meta?.text('value'),
    email: fields.object('billing')?.text('email'),
  }
}

function traitsOf(fields: HookFields, person: Person): JsonObject {
  const billing = fields.object('billing')
  return present({
    email: person.email,
    firstName: billing?.text('first_name'),
    lastName: billing?.text('last_name'),
    ...addressTraits(fields),
  })
}

function addressTraits(fields: HookFields): JsonObject {
  const billing = fields.object('billing')
  if (billing === undefined) return {}
  const address = present({
    street: billing.text('address_1'),
    city: billing.text('city'),
    state: billing.text('state'),
    postalCode: billing.text('postcode'),
    country: billing.text('country'),
  })
  const isEmpty = Object.keys(address).length === 0
  return present({ phone: billing.text('phone'), address: isEmpty ? undefined : address })
}
