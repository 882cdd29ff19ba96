/**
 * Stripe's webhooks, as events of Segment's ecommerce spec. Facts: Stripe's documentation of
 * webhook signatures, of event types, and of currencies.
 *
 * The signature is over `t`, a dot and the body. While a secret is being changed there are several
 * `v1`; other schemes, such as `v0`, prove nothing.
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

/** What each type becomes; the guide prints this table. */
export const stripeTypes: Readonly<Record<string, string>> = {
  'checkout.session.completed': 'Order Completed, or Checkout Completed where not paid yet',
  'checkout.session.async_payment_succeeded': 'Order Completed',
  'checkout.session.async_payment_failed': 'Payment Failed',
  'checkout.session.expired': 'Checkout Expired',
  'payment_intent.succeeded': 'Payment Succeeded',
  'payment_intent.payment_failed': 'Payment Failed',
  'charge.refunded': 'Order Refunded',
  'invoice.paid': 'Invoice Paid',
  'invoice.payment_failed': 'Invoice Payment Failed',
  'customer.created': 'identify',
  'customer.updated': 'identify',
  'customer.subscription.created': 'Subscription Started',
  'customer.subscription.updated': 'Subscription Updated',
  'customer.subscription.deleted': 'Subscription Ended',
}

/** Names in an object's metadata by which a shop says who it is of. */
const userIdName = 'attune_user_id'
const anonymousIdName = 'attune_anonymous_id'

const headerPartCountMax = 20
/**
 * Amounts are in the smallest unit, which is mostly a hundredth; also of ISK and UGX, which have
 * none (Stripe, "Supported currencies", special cases).
 */
const unitsOf = new Map<string, number>([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'VND', 'VUV', 'XAF']
    .concat(['XOF', 'XPF'])
    .map((currency) => [currency, 1] as const),
  ...['BHD', 'JOD', 'KWD', 'OMR', 'TND'].map((currency) => [currency, 1_000] as const),
])

export function createStripeHook(toleranceSeconds: number): HookFormat {
  return {
    prove: (ask, secrets, nowMs) => prove(ask, secrets, { nowMs, toleranceSeconds }),
    topicOf: () => '',
    deliveryIdOf: () => undefined,
    interpret: (_ask, fields, delivery) => interpret(fields, delivery),
  }
}

function prove(
  { headers, bytes }: AskBytes,
  secrets: readonly string[],
  times: { readonly nowMs: number; readonly toleranceSeconds: number },
): Proof {
  const parts = (singleHeader(headers['stripe-signature']) ?? '').split(',', headerPartCountMax)
  const valuesOf = (name: string): readonly string[] =>
    parts.flatMap((part) => {
      const [key, value] = part.trim().split('=', 2)
      return key === name && value !== undefined ? [value] : []
    })
  const [timestamp, ...others] = valuesOf('t')
  const says = 'Stripe-Signature is not that of the body.'
  if (timestamp === undefined || others.length > 0 || !/^\d{1,12}$/.test(timestamp)) {
    return { kind: 'wrong', says }
  }
  const isSigned = valuesOf('v1').some((value) =>
    isSignedBy(secrets, [`${timestamp}.`, bytes], parseDigest(value, 'hex')),
  )
  if (!isSigned) return { kind: 'wrong', says }
  const ageSeconds = Math.abs(times.nowMs / 1_000 - Number(timestamp))
  if (ageSeconds <= times.toleranceSeconds) return { kind: 'signed' }
  const late = `Stripe-Signature is more than ${times.toleranceSeconds} seconds from now.`
  return { kind: 'wrong', says: late }
}

function interpret(fields: HookFields, delivery: Delivery): Meaning {
  const type = fields.text('type') ?? ''
  const name = Object.hasOwn(stripeTypes, type) ? stripeTypes[type] : undefined
  if (name === undefined) return { kind: 'unknown', says: 'The type is none that is known here.' }
  const object = fields.object('data')?.object('object')
  if (object === undefined) {
    fields.faults.push({ path: '/data/object', says: 'Must be an object.' })
    return { kind: 'dropped' }
  }
  const id = fields.text('id')
  const messageId = id === undefined ? delivery.deliveryId : fitDeliveryId(id)
  const timestamp = fields.count('created')
  const isAccount = type === 'customer.created' || type === 'customer.updated'
  const person = personOf(object, isAccount)
  const ids = idsOf(person)
  const traits = traitsOf(object, person, isAccount)
  if (isAccount) {
    const event = present({ type: 'identify', ...ids, traits, messageId, timestamp })
    return { kind: 'events', events: [event] }
  }
  const known = { messageId: `${messageId}-identify`, timestamp }
  const identified = ids === undefined ? [] : identifyOf(ids, traits, known)
  const event = type === 'checkout.session.completed' ? completedName(object) : name
  const properties = propertiesOf(type, object)
  const track = present({ type: 'track', event, ...ids, messageId, timestamp, properties })
  return { kind: 'events', events: [...identified, track] }
}

function completedName(session: HookFields): string {
  return session.text('payment_status') === 'unpaid' ? 'Checkout Completed' : 'Order Completed'
}

function propertiesOf(type: string, object: HookFields): JsonObject {
  const currency = object.currency('currency')
  const money = (fields: HookFields | undefined, name: string): number | undefined => {
    const amount = fields?.count(name)
    return amount === undefined ? undefined : amount / (unitsOf.get(currency ?? '') ?? 100)
  }
  if (type.startsWith('checkout.session.')) return sessionProperties(object, currency, money)
  const total = totalNames.map((name) => money(object, name)).find((each) => each !== undefined)
  return present({
    order_id: object.id('payment_intent') ?? object.id('id'),
    subscription_id: type.startsWith('invoice.') ? subscriptionOf(object) : undefined,
    status: object.text('status'),
    total: type === 'charge.refunded' ? money(object, 'amount_refunded') : total,
    currency,
  })
}

/** API versions from 2025-03-31 on have it below `parent`. */
function subscriptionOf(invoice: HookFields): string | undefined {
  const details = invoice.object('parent')?.object('subscription_details')
  return details?.id('subscription') ?? invoice.id('subscription')
}

/** Of an invoice, a payment intent and a charge, in this order. */
const totalNames = ['amount_paid', 'amount_received', 'amount'] as const

function sessionProperties(
  session: HookFields,
  currency: string | undefined,
  money: (fields: HookFields | undefined, name: string) => number | undefined,
): JsonObject {
  const details = session.object('total_details')
  const subtotal = money(session, 'amount_subtotal')
  const total = money(session, 'amount_total')
  // Only where the shop sends the session on with its lines; Stripe itself leaves them out.
  const lines = session.object('line_items')?.list('data') ?? []
  const products = lines.map((line) =>
    present({
      product_id: line.object('price')?.id('product'),
      name: line.text('description'),
      price: money(line.object('price'), 'unit_amount'),
      quantity: line.quantity('quantity'),
    }),
  )
  return present({
    order_id: session.id('payment_intent') ?? session.id('id'),
    checkout_id: session.id('id'),
    total,
    value: total,
    subtotal,
    revenue: subtotal,
    shipping: money(details, 'amount_shipping'),
    tax: money(details, 'amount_tax'),
    discount: money(details, 'amount_discount'),
    currency,
    checkout_url: session.object('after_expiration')?.object('recovery')?.text('url'),
    products: products.length === 0 ? undefined : products,
  })
}

function personOf(object: HookFields, isAccount: boolean): Person {
  const metadata = object.object('metadata')
  const customer = object.id(isAccount ? 'id' : 'customer')
  return {
    userId: metadata?.text(userIdName) ?? object.text('client_reference_id') ?? customer,
    anonymousId: metadata?.text(anonymousIdName),
    email: emailOf(object),
  }
}

function emailOf(object: HookFields): string | undefined {
  return (
    object.text('email') ??
    object.object('customer_details')?.text('email') ??
    object.text('customer_email') ??
    object.text('receipt_email') ??
    object.object('billing_details')?.text('email')
  )
}

function traitsOf(object: HookFields, person: Person, isAccount: boolean): JsonObject {
  const details = isAccount
    ? object
    : (object.object('customer_details') ?? object.object('billing_details'))
  const { email } = person
  return present({ email, name: details?.text('name'), phone: details?.text('phone') })
}
