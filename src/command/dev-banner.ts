/**
 * The words that `attune dev` prints: where the page is, the keys, and something to try at once.
 */

import { customerUserId, type ShopOrder } from '../../examples/shop/shop-data.ts'
import { type Item, isInStock } from '../catalog/item.ts'
import type { DemoSetup } from './demo-world.ts'

/** Returns where page and keys are. */
export function describeDev(
  setup: DemoSetup,
  shown: { readonly isJson: boolean; readonly isSeeded: boolean },
): string {
  const { url, apiKey, dataDir, isOtherPort } = setup
  const { writeKey, orders, items } = setup.shop
  if (shown.isJson) {
    const smtpPort = setup.catcher.port
    return `${JSON.stringify({ url, writeKey, apiKey, dataDir, smtpPort })}\n`
  }
  const counts = [orders.length, items.length].map((count) => count.toLocaleString('en'))
  const shop = shown.isSeeded
    ? [
        `  ${counts[0]} real orders of ${counts[1]} items (UCI Online Retail) are read as history.`,
        '  Then simulated shoppers come. No email leaves this machine.',
      ]
    : ['  Without orders and shoppers: send your own events. No email leaves this machine.']
  return [
    '',
    `  Attune, development server${isOtherPort ? ' (port 8080 is taken, so another one)' : ''}`,
    '',
    `  Page       ${url}`,
    `  Write key  ${writeKey}`,
    `  API key    ${apiKey}`,
    `  Data       ${dataDir}`,
    '',
    ...shop,
    '',
    '',
  ].join('\n')
}

/**
 * Returns commands to paste: what a customer is recommended, one view of an item, and what they are
 * recommended then.
 */
export function describeTrial(setup: DemoSetup): string {
  const { orders, items, writeKey } = setup.shop
  const trial = chooseTrial(orders, items)
  if (trial === undefined) return ''
  const { userId, item } = trial
  const body = {
    userId,
    event: 'Product Viewed',
    properties: { product_id: item.itemId, name: item.name, price: item.price },
  }
  const asked = `${setup.url}/api/v1/profiles/${userId}/recommendations?count=5`
  const names = `grep -o '"name":"[^"]*","price"' | cut -d'"' -f4`
  // A quote in a name would end the shell's text.
  const data = JSON.stringify(body).replaceAll("'", "'\\''")
  return [
    `  Try it: ${userId} looks at "${item.name}", and the next answer knows.`,
    '',
    `ask() { curl -s -H 'Authorization: Bearer ${setup.apiKey}' '${asked}' | ${names}; }`,
    'ask',
    `curl -s -u '${writeKey}:' -H 'Content-Type: application/json' ${setup.url}/v1/track \\`,
    `  -d '${data}'; echo`,
    'ask',
    '',
    '',
  ].join('\n')
}

/**
 * A customer of one small order, of whom little is known, and the most bought item of a category
 * new to them.
 */
function chooseTrial(
  orders: readonly ShopOrder[],
  items: readonly Item[],
): { readonly userId: string; readonly item: Item } | undefined {
  const known = new Map(items.map((item) => [item.itemId, item]))
  const completed = orders.filter(({ event }) => event === 'Order Completed')
  const byCustomer = Map.groupBy(completed, ({ customerId }) => customerId)
  const chosen = completed.findLast(({ customerId, lines }) => {
    const isSmall = lines.length >= 3 && lines.length <= 10
    return customerId !== null && isSmall && byCustomer.get(customerId)?.length === 1
  })
  if (chosen === undefined || chosen.customerId === null) return undefined
  const own = new Set(chosen.lines.map(([itemId]) => known.get(itemId)?.category))
  const counts = new Map<Item, number>()
  for (const [itemId] of completed.flatMap(({ lines }) => lines)) {
    const item = known.get(itemId)
    if (item === undefined || !isInStock(item) || own.has(item.category)) continue
    counts.set(item, (counts.get(item) ?? 0) + 1)
  }
  const [most] = [...counts].sort((left, right) => right[1] - left[1])
  const userId = customerUserId(chosen.customerId)
  return most === undefined ? undefined : { userId, item: most[0] }
}
