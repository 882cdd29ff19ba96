/**
 * A cart reminder as a shop would write it, with values for one person. For tests and benchmarks.
 */

import type { JsonObject } from '../lib/json.ts'
import type { SigningKeys } from './links.ts'
import { rendererVersion } from './renderer-version.ts'
import type { RenderInput, Template, TemplateSource } from './template.ts'

const product = `
        <mj-raw>{% for item in cart.items limit: 5 %}</mj-raw>
        <mj-image src="{{ item.image }}" alt="{{ item.name }}"
          href="{{ item.url }}" width="120px" />
        <mj-text><strong>{{ item.name }}</strong><br />
          {{ item.quantity }} x {{ item.price | money }}
          {% if item.stock < 5 %}<em>Only {{ item.stock }} left</em>{% endif %}</mj-text>
        <mj-raw>{% endfor %}</mj-raw>`

export const cartReminderSource: TemplateSource = {
  name: 'cart-reminder',
  subject: '{{ profile.first_name | default: "Hello" }}, your {{ cart.items[0].name }} is waiting',
  mjml: `<mjml>
  <mj-head><mj-title>{{ shop.name }}</mj-title>
    <mj-preview>{{ cart.items.size }} things wait</mj-preview></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-image src="{{ shop.logo }}" alt="{{ shop.name }}" href="{{ shop.url }}" width="140px" />
      <mj-text>Hi {{ profile.first_name | default: "there" }},</mj-text>
      <mj-text>You left something behind on {{ cart.updated_at | date: "%B %-d" }}.</mj-text>
    </mj-column></mj-section>
    <mj-section><mj-column>${product}
        <mj-text align="right">Total {{ cart.total | money }}</mj-text>
        <mj-button href="{{ cart.url }}">Back to your cart</mj-button>
    </mj-column></mj-section>
    <mj-section><mj-column>
      <mj-text>You may also like</mj-text>
      <mj-raw>{% for item in recommendations limit: 4 %}</mj-raw>
      <mj-image src="{{ item.image }}" alt="{{ item.name }}" href="{{ item.url }}" width="90px" />
      <mj-text><a href="{{ item.url }}">{{ item.name  | truncate: 40 }}</a>
        {{ item.price | money }}</mj-text>
      <mj-raw>{% endfor %}</mj-raw>
    </mj-column></mj-section>
    <mj-section><mj-column>
      <mj-text><a href="mailto:help@shop.example">Help</a>
        <a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
    </mj-column></mj-section>
  </mj-body>
</mjml>
`,
  text: `Hi {{ profile.first_name | default: "there" }},

You left something behind:
{% for item in cart.items limit: 5 %}- {{ item.name }}, {{ item.price | money }}: {{ item.url }}
{% endfor %}
Back to your cart: {{ cart.url }}
Unsubscribe: {{ unsubscribe_url }}
`,
}

export const someKeys: SigningKeys = {
  currentId: 'k1',
  keys: new Map([['k1', new Uint8Array(32).fill(7)]]),
}

const items = ['Trail shoe', 'Wool socks "merino"', 'Caf\u00e9 & tea <mug>'].map((name, index) => ({
  name,
  image: `https://cdn.shop.example/i/${index}.jpg?w=240&h=240`,
  url: `https://shop.example/p/${index}?utm_source=email&utm_medium=cart`,
  quantity: index + 1,
  price: 19.9 + index,
  stock: 3 + index,
}))

export const someValues: JsonObject = {
  profile: { first_name: 'Zo\u00eb', plan: 'pro' },
  shop: {
    name: 'Shop',
    url: 'https://shop.example/',
    logo: 'https://cdn.shop.example/logo.png',
    currency: 'EUR',
  },
  cart: {
    items,
    total: 62.7,
    url: 'https://shop.example/cart',
    updated_at: '2026-11-22T18:30:00Z',
  },
  recommendations: [...items, ...items].slice(0, 4),
}

/** Returns an input that renders; a test gives what it is about. */
export function aRenderInput(
  template: Template,
  given: { values?: JsonObject; message?: Partial<RenderInput['message']> } = {},
): RenderInput {
  return {
    rendererVersion,
    template,
    values: given.values ?? someValues,
    message: {
      messageId: 'm_4fJx81kQ-20261123',
      from: 'The Shop <hello@shop.example>',
      to: 'zoe@person.example',
      dateMs: Date.UTC(2026, 10, 23, 9, 5, 7),
      publicUrl: 'https://mail.shop.example',
      signingKeyId: 'k1',
      topic: 'offers',
      ...given.message,
    },
  }
}
