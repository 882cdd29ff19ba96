import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse as parseYaml } from 'yaml'
import { readShop, type ShopOrder } from '../../examples/shop/shop-data.ts'
import type { Waits } from '../../examples/shop/shop-world.ts'
import type { Item } from '../catalog/item.ts'
import { parseDurationMs } from '../lib/duration.ts'
import { OperatingError } from '../lib/errors.ts'

/** What is laid over the definitions of the shop. */
export const demoOverlay = 'demo.yaml'

/** The folder of the demo's definitions and data. */
export const shopFolder = fileURLToPath(new URL('../../examples/shop', import.meta.url))

export interface DemoShop {
  readonly items: readonly Item[]
  readonly orders: readonly ShopOrder[]
  /** Those of the overlay. */
  readonly waits: Waits
  readonly writeKey: string
  /** Sender of the emails. */
  readonly from: string
}

/**
 * Reads data and definitions of the shop. Throws where the repository's own files are not as they
 * should be.
 */
export async function readDemoShop(orderCountMax?: number): Promise<DemoShop> {
  const { items, orders } = await readShop(join(shopFolder, 'data'))
  const overlay = await readDefinition(demoOverlay)
  const source = await readDefinition('sources/web.yaml')
  const waitOf = (campaign: string): number => {
    const text = valueAt(overlay, ['campaigns', campaign, 'steps', '0', 'wait'])
    const waitMs = parseDurationMs(text)
    if (waitMs !== undefined) return waitMs
    throw new OperatingError(
      'DEFINITIONS_INVALID',
      `read the wait of ${campaign} in ${demoOverlay}`,
    )
  }
  return {
    items,
    orders: orderCountMax === undefined ? orders : orders.slice(-orderCountMax),
    waits: {
      cartMs: waitOf('cart-reminder'),
      thankYouMs: waitOf('thank-you'),
      loyalMs: waitOf('loyal-welcome'),
    },
    writeKey: String(valueAt(source, ['writeKeys', '0'])),
    from: String(valueAt(await readDefinition('shop.yaml'), ['from'])),
  }
}

async function readDefinition(name: string): Promise<unknown> {
  return parseYaml(await readFile(join(shopFolder, name), 'utf8'))
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined),
    value,
  )
}
