/**
 * What is fixed in every simulated world: its size, its shop, and the definitions before and after
 * they change.
 */

import type { JsonObject } from '../../src/lib/json.ts'
import { type DefinitionsDocument, documentFormat } from '../../src/process/definitions.ts'
import { compileTemplate } from '../../src/template/compile-template.ts'
import type { SigningKeys } from '../../src/template/links.ts'
import type { Template } from '../../src/template/template.ts'

export const workspace = 'default'
export const partitionCount = 3
export const personCount = 50
export const startMs = Date.UTC(2026, 0, 5)
export const secondMs = 1000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs
export const lengthMs = 30 * dayMs
export const addressSecret = new Uint8Array(32).fill(5)
export const signingKeys: SigningKeys = {
  currentId: 'k1',
  keys: new Map([['k1', new Uint8Array(32).fill(7)]]),
}

const mjml = `<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ profile.traits.name | default: "you" }}, profile {{ profile.version }}.</mj-text>
<mj-text>{{ profile.traits.views }} seen, {{ profile.traits.views_lately }} lately</mj-text>
<mj-raw>{% for item in profile.cart %}</mj-raw>
<mj-text>{{ item.name }} {{ item.price }} x {{ item.quantity }}</mj-text>
<mj-raw>{% endfor %}</mj-raw>
<mj-raw>{% for item in recommendations %}</mj-raw>
<mj-text><a href="https://shop.example/p/{{ item.item_id }}">{{ item.name }}</a></mj-text>
<mj-raw>{% endfor %}</mj-raw>
<mj-text><a href="{{ unsubscribe_url }}">Leave</a></mj-text>
</mj-column></mj-section></mj-body></mjml>`

const text = `Hello {{ profile.traits.name }}, profile {{ profile.version }}.
{% for item in profile.cart %}- {{ item.name }} {{ item.price }}
{% endfor %}Leave: {{ unsubscribe_url }}
`

/** Compiled once for all seeds: MJML is slow. */
export async function compileWorldTemplate(): Promise<Template> {
  const subject = '{{ campaign.name }} for {{ profile.traits.name | default: "you" }}'
  const answer = await compileTemplate({ name: 'letter', mjml, subject, text })
  if (answer.kind === 'compiled') return answer.template
  throw new Error(`the template does not compile: ${JSON.stringify(answer.faults)}`)
}

/** The bounds are above the idle time of the owners here, which confirm freshness that rarely. */
function send(topic: string, more: JsonObject = {}): JsonObject {
  const step = { template: 'letter', topic, freshWithin: '30m', notAfter: '24h' }
  return { send: { ...step, ...more } }
}

const orderIn24h: JsonObject = { event: 'Order Completed', count: { atLeast: 1 }, within: '24h' }
const addedIn24h: JsonObject = { event: 'Product Added', count: { atLeast: 1 }, within: '24h' }

const loyal = { name: 'loyal', content: { event: 'Order Completed', count: { atLeast: 3 } } }
const abandoners = {
  name: 'abandoners',
  content: { all: [addedIn24h, { not: orderIn24h }] },
}

function active(countMin: number): { readonly name: string; readonly content: JsonObject } {
  return {
    name: 'active',
    content: { event: 'Product Viewed', count: { atLeast: countMin }, within: '3d' },
  }
}

const thanks: JsonObject = {
  name: 'thanks',
  trigger: { event: 'Order Completed' },
  steps: [send('orders')],
}
const thanksTwice: JsonObject = {
  name: 'thanks',
  trigger: { event: 'Order Completed' },
  steps: [send('orders'), { wait: '1d' }, send('orders', { freshWithin: '25m' })],
}

function cartReminder(wait: string): JsonObject {
  return {
    name: 'cart-reminder',
    trigger: { event: 'Product Added' },
    steps: [{ wait }, send('reminders', { recommendations: { count: 3 } })],
    exit: [{ event: 'Order Completed' }],
  }
}

const welcome: JsonObject = {
  name: 'active-offer',
  trigger: { segment: 'active', on: 'entry' },
  steps: [{ wait: '1h' }, send('news', { notAfter: '2h' })],
}

/** Two users with the same id of the CRM are one person; an address is a family's. */
const identity: JsonObject = {
  kinds: [
    { name: 'crm', from: ['externalIds.crm_id'], joinsUsers: true },
    { name: 'email', form: 'email', from: ['traits.email'] },
  ],
}

const watchers = { name: 'watchers', content: { trait: 'views_lately', atLeast: 4 } }
const watchOffer: JsonObject = {
  name: 'watch-offer',
  trigger: { segment: 'watchers', on: 'entry' },
  steps: [send('news', { notAfter: '2h' })],
}

function traitsOf(definitions: Readonly<Record<string, JsonObject>>) {
  return Object.entries(definitions).map(([name, content]) => ({ name, content }))
}

const views: JsonObject = { kind: 'count', event: 'Product Viewed' }
const spent: JsonObject = { kind: 'sum', event: 'Order Completed', of: '$value' }
const traitsBefore = traitsOf({
  views,
  views_lately: { ...views, within: '3d' },
  session_views: { ...views, within: 'session' },
  last_item: { kind: 'last', event: 'Product Viewed', of: '$item' },
})
/** One is changed under its name, one goes, the others come: their past has to be filled. */
const traitsAfter = traitsOf({
  views,
  views_lately: { ...views, within: '2d' },
  session_items: { kind: 'uniqueCount', event: 'Product Viewed', of: '$item', within: 'session' },
  spent,
  orders: { kind: 'count', event: 'Order Completed' },
  orders_lately: { kind: 'count', event: 'Order Completed', within: '10d' },
  spent_each: { kind: 'ratio', over: 'spent', by: 'orders', whenZero: 0 },
  favourite: { kind: 'mostFrequent', event: 'Product Viewed', of: '$item' },
  items: { kind: 'uniqueCount', event: ['Product Viewed', 'Product Added'], of: '$item' },
})

/** The documents in force one after the other. */
export function worldDocuments(template: Template): readonly DefinitionsDocument[] {
  const shop = { name: 'Shop', currency: 'EUR', url: 'https://shop.example' }
  const shared = {
    format: documentFormat,
    shop,
    sources: [],
    identity,
    templates: { letter: template },
  } as const
  return [
    {
      ...shared,
      segments: [active(5), abandoners, watchers],
      campaigns: [cartReminder('4h'), thanks, welcome, watchOffer],
      traits: traitsBefore,
    },
    {
      ...shared,
      segments: [active(4), abandoners, loyal, watchers],
      campaigns: [cartReminder('6h'), thanksTwice, welcome, watchOffer],
      traits: traitsAfter,
    },
  ]
}
