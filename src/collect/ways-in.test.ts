/** The guide says what the code does: its tables are the code's, its definitions are good. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { parseSource } from '../event/source.ts'
import { cloudEventFields } from './cloud-events.ts'
import { pixelNames } from './pixel-route.ts'
import { shopifyTopics } from './shopify-hook.ts'
import { stripeTypes } from './stripe-hook.ts'
import { woocommerceTopics } from './woocommerce-hook.ts'

const guide = readFileSync(new URL('../../docs/guide/ways-in.md', import.meta.url), 'utf8')

/** Returns the rows of the first table below a heading. */
function tableBelow(heading: string): Readonly<Record<string, string>> {
  const section = guide.split(/^#{2,3} /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  const rows = [...section.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm)]
  return Object.fromEntries(rows.map(([, name = '', means = '']) => [name, means]))
}

describe('the guide to the ways in', () => {
  const tables: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    Pixels: pixelNames,
    Shopify: shopifyTopics,
    WooCommerce: woocommerceTopics,
    Stripe: stripeTypes,
    CloudEvents: cloudEventFields,
  }
  for (const [heading, table] of Object.entries(tables)) {
    it(`has the table of the code below ${heading}`, () => {
      assert.deepEqual(tableBelow(heading), table)
    })
  }

  it('shows definitions that are taken', () => {
    const blocks = [...guide.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
    assert.equal(blocks.length, 5)
    for (const text of blocks) {
      const parsed = parseSource(parse(text))
      assert.equal(parsed.kind, 'source', `${text}\n${JSON.stringify(parsed)}`)
    }
  })
})
