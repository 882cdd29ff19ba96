/**
 * What the catalog says of the items that an event names, stamped into the event where its producer
 * did not say it: category, brand, price. The fold never reads the catalog, so what a rule shall
 * know of an item must be in the log.
 *
 * Reads go to the committed state, through a bounded cache. A stamp is at most `ageMsMax` old. An
 * event whose items are all in the cache does not wait at all; another waits at most `waitMsMax`,
 * and is then taken without a stamp, which its `unread` tells. After a wait in vain, or a failed
 * read, nobody waits again for `pauseMs`: a store that is away must not slow intake. Where there is
 * no catalog at all nothing is read but, now and then, whether there is one by now.
 */

import { currentPrice, type Item } from '../catalog/item.ts'
import { findItems, type StatePlace } from '../delivery/read-state.ts'
import { itemIdOf } from '../event/activity.ts'
import type { Event, ItemStamp, StampedItem } from '../event/event.ts'
import { propertyRows } from '../event/event-mapping.ts'
import type { Clock } from '../lib/clock.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

export interface ItemStamps {
  /**
   * Makes the items of events, as they were sent, known to the cache. Nothing to wait for where it
   * knows them; never rejects.
   */
  load(sent: readonly unknown[]): Promise<void> | undefined
  /**
   * Returns what to stamp into an event; nothing where it names no item, where all is said, or
   * where there is no catalog.
   */
  stampOf(event: Event): ItemStamp | undefined
}

export const stampOutcomes = ['stamped', 'unknown', 'unread'] as const
export type StampOutcome = (typeof stampOutcomes)[number]

export interface ItemStampDeps {
  readonly place: StatePlace
  readonly clock: Clock
  /** Counts items of events by what became of them. */
  counted(outcome: StampOutcome): void
}

export interface ItemStampOptions {
  readonly ageMsMax: number
  readonly waitMsMax: number
  readonly cacheCountMax: number
  /** Items of one request, and items being read at a time; those beyond are not stamped. */
  readonly readCountMax: number
  readonly pauseMs: number
}

interface Known {
  readonly readAtMs: number
  /** Absent of an item that the catalog does not have. */
  readonly item?: StampedItem
}

/**
 * An entry is read again at this share of its age, so that it is not too old when it is used; one
 * of an item that is not there sooner, since it may have come.
 */
const freshShare = 0.8
const absentFreshShare = 0.2
/** Between two looks whether there is a catalog by now. */
const lookMs = 2_000
/** Names under which a product may come before it is in normal form. */
const idNames = propertyRows
  .filter(({ name }) => name === 'product_id')
  .flatMap(({ name, renamed, copied = [] }) => [name, ...renamed, ...copied])

export function createItemStamps(deps: ItemStampDeps, options: ItemStampOptions): ItemStamps {
  const { clock } = deps
  const known = new Map<string, Known>()
  const reading = new Map<string, Promise<void>>()
  let pausedUntilMs = Number.NEGATIVE_INFINITY
  let hasCatalog = false
  let lookAgainAtMs = Number.NEGATIVE_INFINITY

  const keep = (itemId: string, item: Item | undefined, readAtMs: number): void => {
    known.delete(itemId)
    if (known.size >= options.cacheCountMax) known.delete(known.keys().next().value ?? '')
    known.set(itemId, item === undefined ? { readAtMs } : { readAtMs, item: stampedItem(item) })
  }
  const freshMsOf = ({ item }: Known): number =>
    options.ageMsMax * (item === undefined ? absentFreshShare : freshShare)
  const pause = (): void => {
    pausedUntilMs = clock.monotonicMs() + options.pauseMs
  }
  const read = async (itemIds: readonly string[]): Promise<void> => {
    const readAtMs = clock.monotonicMs()
    try {
      const found = await findItems(deps.place, itemIds)
      for (const itemId of itemIds) keep(itemId, found.get(itemId), readAtMs)
    } catch {
      // The event is taken without: whoever owns the partition reports a store that is away.
      pause()
    }
    for (const itemId of itemIds) reading.delete(itemId)
  }
  const waitFor = async (reads: readonly Promise<void>[]): Promise<void> => {
    let isDone = false
    const all = Promise.all(reads).then(() => {
      isDone = true
    })
    // Not ended before its time: that costs more than to let it pass.
    await Promise.race([all, clock.sleep(options.waitMsMax)])
    if (!isDone) pause()
  }
  const lookForCatalog = async (nowMs: number): Promise<void> => {
    lookAgainAtMs = nowMs + lookMs
    const { state, partitionCount } = deps.place
    for (let partition = 0; partition < partitionCount && !hasCatalog; partition++) {
      const found = await state.scan(partition, 'item/', '', 1).catch(() => [])
      if (found.length > 0) hasCatalog = true
    }
  }
  const load = (sent: readonly unknown[]): Promise<void> | undefined => {
    const nowMs = clock.monotonicMs()
    if (!hasCatalog && nowMs >= lookAgainAtMs) void lookForCatalog(nowMs)
    if (!hasCatalog || nowMs < pausedUntilMs) return undefined
    const missing = new Set<string>()
    const reads = new Set<Promise<void>>()
    forEachItemSent(sent, (itemId) => {
      const entry = known.get(itemId)
      if (entry !== undefined && nowMs - entry.readAtMs <= freshMsOf(entry)) return
      const pending = reading.get(itemId)
      if (pending !== undefined) reads.add(pending)
      else if (missing.size + reading.size < options.readCountMax) missing.add(itemId)
    })
    if (missing.size > 0) {
      const started = read([...missing])
      for (const itemId of missing) reading.set(itemId, started)
      reads.add(started)
    }
    return reads.size === 0 || options.waitMsMax === 0 ? undefined : waitFor([...reads])
  }
  const stampOf = ({ properties }: Event): ItemStamp | undefined => {
    if (properties === undefined || !hasCatalog) return undefined
    const oldestMs = clock.monotonicMs() - options.ageMsMax
    const find = (itemId: string): Known | undefined => {
      const entry = known.get(itemId)
      return entry === undefined || entry.readAtMs < oldestMs ? undefined : entry
    }
    return makeStamp(properties, find, deps.counted)
  }
  void lookForCatalog(clock.monotonicMs())
  return { load, stampOf }
}

function makeStamp(
  properties: JsonObject,
  find: (itemId: string) => Known | undefined,
  counted: (outcome: StampOutcome) => void,
): ItemStamp | undefined {
  const items = new Map<string, StampedItem>()
  const unknown = new Set<string>()
  let unread = 0
  forEachProduct(properties, (product) => {
    const itemId = itemIdOf(product)
    if (itemId === undefined) return
    const entry = find(itemId)
    if (entry === undefined) unread++
    else if (entry.item === undefined) unknown.add(itemId)
    else {
      const lacking = lackingOf(product, entry.item)
      if (lacking !== undefined) items.set(itemId, lacking)
    }
    counted(entry === undefined ? 'unread' : entry.item === undefined ? 'unknown' : 'stamped')
  })
  if (items.size === 0 && unknown.size === 0 && unread === 0) return undefined
  return {
    ...(items.size === 0 ? {} : { items: Object.fromEntries(items) }),
    ...(unknown.size === 0 ? {} : { unknown: [...unknown] }),
    ...(unread === 0 ? {} : { unread }),
  }
}

function stampedItem(item: Item): StampedItem {
  const { category, brand, updatedAtMs } = item
  return {
    ...(category === undefined ? {} : { category }),
    ...(brand === undefined ? {} : { brand }),
    price: currentPrice(item),
    itemVersion: updatedAtMs,
  }
}

/** Returns what the item has and the product does not say; nothing where it says all. */
function lackingOf(product: JsonObject, item: StampedItem): StampedItem | undefined {
  const { itemVersion } = item
  const category = product.category === undefined ? item.category : undefined
  const brand = product.brand === undefined ? item.brand : undefined
  const price = product.price === undefined ? item.price : undefined
  if (category === undefined && brand === undefined && price === undefined) return undefined
  return {
    ...(category === undefined ? {} : { category }),
    ...(brand === undefined ? {} : { brand }),
    ...(price === undefined ? {} : { price }),
    itemVersion,
  }
}

function forEachProduct(properties: JsonObject, visit: (product: JsonObject) => void): void {
  visit(properties)
  const { products } = properties
  if (!Array.isArray(products)) return
  for (const product of products as readonly Json[]) if (isJsonObject(product)) visit(product)
}

/** What was sent may be anything: it has not been judged yet. */
function forEachItemSent(sent: readonly unknown[], visit: (itemId: string) => void): void {
  const visitProduct = (product: JsonObject): void => {
    for (const name of idNames) {
      const stated = product[name]
      const itemId = stated === undefined ? undefined : itemIdOf({ product_id: stated })
      if (itemId === undefined) continue
      visit(itemId)
      return
    }
  }
  for (const event of sent) {
    const properties = isJsonObject(event) ? event.properties : undefined
    if (isJsonObject(properties)) forEachProduct(properties, visitProduct)
  }
}
