/**
 * A small folder of definitions in which emails flow fast: one at once, one after a second unless
 * there is an order.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export const writeKey = 'wk_faults'

const files: Readonly<Record<string, string>> = {
  'shop.yaml': 'name: Small Shop\ncurrency: GBP\nurl: https://shop.example\n',
  'sources/web.yaml': `name: web\nwriteKeys: [${writeKey}]\n`,
  'campaigns/at-once.yaml': `name: at-once
kind: triggered
trigger: {event: Product Added}
steps:
  - send: {template: cart, topic: reminders, freshWithin: 60s, notAfter: 24h}
`,
  'campaigns/waiting.yaml': `name: waiting
kind: journey
trigger: {event: Product Added}
steps:
  - wait: 1s
  - send: {template: cart, topic: reminders, freshWithin: 60s, notAfter: 24h}
exit:
  - {event: Order Completed}
`,
  'templates/cart/meta.yaml': 'name: cart\ndescription: What is in the cart.\nlanguage: en\n',
  'templates/cart/subject.liquid': `{%- assign item = profile.cart | first -%}
{%- if profile.cart.size == 0 -%}Come again
{%- elsif item.name -%}{{ item.name }} is in your basket
{%- else -%}{{ item.item_id }} is in your basket
{%- endif -%}`,
  'templates/cart/text.liquid': `{% for item in profile.cart -%}
- {% if item.name %}{{ item.name }}{% else %}{{ item.item_id }}{% endif %}
{% endfor %}{{ shop.url }}/cart
Unsubscribe: {{ unsubscribe_url }}
`,
  'templates/cart/template.mjml': `<mjml lang="en"><mj-body><mj-section><mj-column>
<mj-raw>{% for item in profile.cart %}</mj-raw>
<mj-text>{% if item.name %}{{ item.name }}{% else %}{{ item.item_id }}{% endif %}</mj-text>
<mj-raw>{% endfor %}</mj-raw>
<mj-button href="{{ shop.url }}/cart">Go to your basket</mj-button>
<mj-text><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>
`,
}

export interface SmallShopOptions {
  /** How long the second campaign waits. */
  readonly wait?: string
  /** Names of campaigns that are left out. */
  readonly without?: readonly string[]
}

/** Writes the folder. */
export async function writeSmallShop(
  folder: string,
  options: SmallShopOptions = {},
): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    if (options.without?.some((name) => path === `campaigns/${name}.yaml`)) continue
    const file = join(folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text.replace('wait: 1s', `wait: ${options.wait ?? '1s'}`))
  }
}
