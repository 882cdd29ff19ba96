/**
 * Reads items of the catalog, and keeps them while the board of changes says that they stand still:
 * a list of recommendations is made of the same few thousand items again and again. Without a board
 * (other processes write the state too) each is read each time.
 */

import type { Item } from '../catalog/item.ts'
import type { ChangeBoard } from '../state/change-board.ts'
import { findItems, type StatePlace } from './read-state.ts'

export type ReadItems = (itemIds: readonly string[]) => Promise<ReadonlyMap<string, Item>>

interface Kept {
  readonly count: number
  /** Absent of an item that is not there. */
  readonly item: Item | undefined
}

const keptCountMax = 20_000

export function createItemReader(
  place: StatePlace,
  changes: Pick<ChangeBoard, 'countOf'> | undefined,
): ReadItems {
  if (changes === undefined) return (itemIds) => findItems(place, itemIds)
  const kept = new Map<string, Kept>()
  return async (itemIds) => {
    const found = new Map<string, Item>()
    const missing = new Map<string, number>()
    for (const itemId of itemIds) {
      // Before the read: a change that comes in between is looked for again.
      const count = changes.countOf(`item/${itemId}`)
      const known = kept.get(itemId)
      if (known?.count !== count) missing.set(itemId, count)
      else if (known.item !== undefined) found.set(itemId, known.item)
    }
    if (missing.size === 0) return found
    const read = await findItems(place, [...missing.keys()])
    for (const [itemId, count] of missing) {
      const item = read.get(itemId)
      if (item !== undefined) found.set(itemId, item)
      kept.delete(itemId)
      if (kept.size >= keptCountMax) kept.delete(kept.keys().next().value ?? '')
      kept.set(itemId, { count, item })
    }
    return found
  }
}
