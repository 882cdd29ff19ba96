/** The definitions of a world, before and after they change: as many of them as it holds. */

import type { JsonObject } from '../../src/lib/json.ts'
import { type DefinitionsDocument, documentFormat } from '../../src/process/definitions.ts'
import { compileTemplate } from '../../src/template/compile-template.ts'
import type { Template } from '../../src/template/template.ts'
import type { DrawnWorld, Feature } from './drawn-world.ts'

const mjml = `<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ profile.traits.name | default: "you" }}, profile {{ profile.version }}.</mj-text>
<mj-text>{{ profile.traits.views | default: 0 }} seen,
{{ profile.traits.views_lately | default: 0 }} lately</mj-text>
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

interface Named {
  readonly name: string
  readonly content: JsonObject
}

function step(topic: string, freshWithin: string, more: JsonObject = {}): JsonObject {
  return { send: { template: 'letter', topic, freshWithin, notAfter: '24h', ...more } }
}

const orderIn24h: JsonObject = { event: 'Order Completed', count: { atLeast: 1 }, within: '24h' }
const addedIn24h: JsonObject = { event: 'Product Added', count: { atLeast: 1 }, within: '24h' }

const loyal = { name: 'loyal', content: { event: 'Order Completed', count: { atLeast: 3 } } }
const abandoners = {
  name: 'abandoners',
  content: { all: [addedIn24h, { not: orderIn24h }] },
}

function active(countMin: number): Named {
  return {
    name: 'active',
    content: { event: 'Product Viewed', count: { atLeast: countMin }, within: '3d' },
  }
}

/** The bounds of freshness are above the time after which idle owners confirm it. */
function campaignsOf({ pace }: DrawnWorld, isLater: boolean): readonly Named[] {
  const [fresh, fresher] = pace.freshWithin
  const reminder = step('reminders', fresh, { recommendations: { count: 3 } })
  const orders = step('orders', fresh)
  const news = step('news', fresh, { notAfter: '2h' })
  const contents: Readonly<Record<string, JsonObject>> = {
    'cart-reminder': {
      trigger: { event: 'Product Added' },
      steps: [{ wait: isLater ? '6h' : '4h' }, reminder],
      exit: [{ event: 'Order Completed' }],
    },
    thanks: {
      trigger: { event: 'Order Completed' },
      steps: isLater ? [orders, { wait: '1d' }, step('orders', fresher)] : [orders],
    },
    'active-offer': {
      trigger: { segment: 'active', on: 'entry' },
      steps: [{ wait: '1h' }, news],
    },
    'watch-offer': { trigger: { segment: 'watchers', on: 'entry' }, steps: [news] },
  }
  return Object.entries(contents).map(([name, content]) => ({ name, content }))
}

/** Two users with the same id of the CRM are one person; an address is a family's. */
const identity: JsonObject = {
  kinds: [
    { name: 'crm', from: ['externalIds.crm_id'], joinsUsers: true },
    { name: 'email', form: 'email', from: ['traits.email'] },
  ],
}

/** Names a property for the first time. */
const spenders = {
  name: 'spenders',
  content: {
    ...{ event: 'Product Viewed', count: { atLeast: 2 }, within: '20d' },
    where: { properties: { price: { atLeast: 12 } } },
  },
}
const watchers = { name: 'watchers', content: { trait: 'views_lately', atLeast: 4 } }

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

/** The documents in force one after the other; where they do not change, there is one. */
export function worldDocuments(
  template: Template,
  drawn: DrawnWorld,
): readonly DefinitionsDocument[] {
  const shop = { name: 'Shop', currency: 'EUR', url: 'https://shop.example' }
  const shared = {
    format: documentFormat,
    shop,
    sources: [],
    identity,
    templates: { letter: template },
  } as const
  const held = (kind: 'segment' | 'trait' | 'campaign', all: readonly Named[]): readonly Named[] =>
    all.filter(({ name }) => drawn.features.has(`${kind} ${name}` as Feature))
  const contentsOf = (campaigns: readonly Named[]): readonly JsonObject[] =>
    campaigns.map(({ name, content }) => ({ name, ...content }))
  const first: DefinitionsDocument = {
    ...shared,
    segments: held('segment', [active(5), abandoners, watchers]),
    campaigns: contentsOf(held('campaign', campaignsOf(drawn, false))),
    traits: held('trait', traitsBefore),
  }
  const later: DefinitionsDocument = {
    ...shared,
    segments: held('segment', [active(4), abandoners, loyal, watchers, spenders]),
    campaigns: contentsOf(held('campaign', campaignsOf(drawn, true))),
    traits: held('trait', traitsAfter),
  }
  return [
    ...(drawn.features.has('the first definitions') ? [first] : []),
    ...(drawn.features.has('the later definitions') ? [later] : []),
  ]
}

/** The names of the computed traits that are in force at the end. */
export function traitNamesOf(drawn: DrawnWorld): string[] {
  const { features } = drawn
  const last = features.has('the later definitions') ? traitsAfter : traitsBefore
  return last.map(({ name }) => name).filter((name) => features.has(`trait ${name}` as Feature))
}
