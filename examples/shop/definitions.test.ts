import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '../../src/lib/json.ts'
import { parseDefinitionFiles } from '../../src/process/definition-files.ts'
import { compileDefinitions } from '../../src/process/definitions.ts'
import { createMessageRenderer } from '../../src/template/render-message.ts'
import { rendererVersion } from '../../src/template/renderer-version.ts'
import type { RenderedMessage } from '../../src/template/template.ts'
import { readShop } from './shop-data.ts'

const folder = fileURLToPath(new URL('.', import.meta.url))
const shop = await readShop(join(folder, 'data'))
const cards = shop.items.slice(100, 110).map((item) => ({
  item_id: item.itemId,
  name: `${item.name} & "more"`,
  price: item.price,
  quantity: 2,
  category: item.category ?? '',
  image_url: item.imageUrl ?? '',
  url: item.url ?? '',
}))

async function readDefinitions(overlay?: string) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile() && /\.(ya?ml|json|mjml|liquid)$/.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  const files = await Promise.all(
    paths.map(async (path) => [path, await readFile(join(folder, path), 'utf8')] as const),
  )
  const answer = await parseDefinitionFiles(new Map(files), overlay)
  assert.deepEqual(answer.kind === 'refused' ? answer.faults : [], [])
  assert.ok(answer.kind === 'document')
  const compiled = compileDefinitions(answer.document, 'test')
  assert.ok(compiled.kind === 'compiled')
  return compiled.definitions
}

const definitions = await readDefinitions()
const render = createMessageRenderer(
  { currentId: 'k', keys: new Map([['k', new Uint8Array(32).fill(1)]]) },
  { softMs: 5_000 },
)

function rendered(name: string, cartCount: number, changes: JsonObject = {}): RenderedMessage {
  const template = definitions.templates.get(name)
  assert.ok(template)
  const answer = render({
    rendererVersion,
    template,
    values: {
      profile: {
        traits: { name: 'Amelia Hughes', email: 'amelia@shopper.example' },
        cart: cards.slice(0, cartCount),
        recent_views: cards.slice(2, 4),
        last_order: null,
      },
      event: {
        name: 'Order Completed',
        properties: { order_id: 'TO-1', total: 12.5, products: cards.slice(0, 2) },
      },
      recommendations: cards.slice(5, 9),
      campaign: { name },
      shop: {
        name: 'Thimble & Oak',
        currency: 'GBP',
        image_origin: 'http://127.0.0.1:3000',
        url: 'https://shop.example',
      },
      ...changes,
    },
    message: {
      messageId: 'm1',
      from: 'Thimble & Oak <hello@shop.example>',
      to: 'amelia@shopper.example',
      dateMs: 0,
      publicUrl: 'http://127.0.0.1:3000',
      signingKeyId: 'k',
      topic: 'reminders',
    },
  })
  assert.equal(answer.kind === 'refused' ? answer.says : '', '')
  assert.ok(answer.kind === 'rendered')
  return answer.message
}

/** All that a reader may see. Links are signed, and their letters may spell anything. */
const wordsOf = ({ html, text, subject }: RenderedMessage) =>
  [subject, html, text].join('\n').replace(/https?:[^"\s]+/g, '')
const imageCount = ({ html }: RenderedMessage) => html.split('/demo/items/').length - 1

describe('the definitions of the shop', () => {
  it('are accepted, three campaigns and four segments', () => {
    assert.deepEqual(
      [...definitions.campaigns.keys()],
      ['cart-reminder', 'loyal-welcome', 'thank-you'],
    )
    assert.equal(definitions.plan.segments.length, 4)
    assert.equal(definitions.sources.length, 1)
  })

  it('wait at most 5 s in the demo, and for the rest stay as they are', async () => {
    const demo = await readDefinitions('demo.yaml')
    for (const [name, campaign] of demo.campaigns) {
      const [wait, send] = campaign.steps
      assert.ok(wait?.kind === 'wait' && wait.waitMs <= 5_000)
      assert.deepEqual(send, definitions.campaigns.get(name)?.steps[1])
      assert.deepEqual(campaign.exits, definitions.campaigns.get(name)?.exits)
    }
  })

  for (const [cartCount, subject] of [
    [0, 'Come and look again at Thimble & Oak'],
    [1, `${cards[0]?.name} is still in your basket`],
    [2, `${cards[0]?.name} and 1 more thing in your basket`],
    [7, `${cards[0]?.name} and 6 more things in your basket`],
  ] as const) {
    it(`remind of a cart of ${cartCount} items`, () => {
      const message = rendered('cart-reminder', cartCount)
      assert.equal(message.subject, subject)
      assert.equal(imageCount(message), Math.min(cartCount, 5) + 4)
      assert.equal(message.html.includes('Go to your basket'), cartCount > 0)
      assert.equal(message.text.split(' 2 x ').length - 1, cartCount)
      assert.doesNotMatch(wordsOf(message), /\{\{|\{%|undefined|NaN/)
    })
  }

  for (const name of ['thank-you', 'welcome-back']) {
    it(`fill ${name} also for a person of whom little is known`, () => {
      assert.equal(imageCount(rendered(name, 0)), name === 'welcome-back' ? 6 : 4)
      const bare = rendered(name, 0, {
        profile: { traits: {}, cart: [], recent_views: [], last_order: null },
        event: { name: 'Order Completed', properties: {} },
        recommendations: cards.slice(0, 3),
      })
      assert.equal(imageCount(bare), 3)
      assert.doesNotMatch(wordsOf(bare), /\{\{|undefined|NaN|Amelia/)
    })
  }

  it('stay below the 102 KB at which mailboxes cut a message', () => {
    assert.ok(Buffer.byteLength(rendered('cart-reminder', 7).html) < 102 * 1024)
  })
})
