/**
 * What was bought at the end: each identity key knows the items that the orders of the log which
 * landed at it name, and no others, whoever has its part and however often that moved.
 */

import { hashesOf, hashItemId } from '../../src/profile/bought-pack.ts'
import { loadPeople } from './check-state.ts'
import { type NaivePartition, textOf } from './naive-log.ts'
import type { Scene } from './simulate.ts'

interface OrderBody {
  readonly properties?: { readonly products?: readonly { readonly product_id: string }[] }
}

export async function checkBought(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  const expected = new Map<string, Set<number>>()
  const made = new Map<string, Set<number>>()
  for (const { record, isNewEvent } of partitions.flatMap(({ records }) => records)) {
    if (!isNewEvent || textOf(record.skeleton, 'name') !== 'Order Completed') continue
    const { properties } = JSON.parse(Buffer.from(record.body).toString()) as OrderBody
    const hashes = properties?.products?.map(({ product_id }) => hashItemId(product_id)) ?? []
    add(expected, record.key, hashes)
  }
  for (const { parts } of await loadPeople(scene)) {
    for (const { key, bought } of parts) if (bought) add(made, key, [...hashesOf(bought)])
  }
  for (const key of new Set([...expected.keys(), ...made.keys()])) {
    const [wanted = new Set(), known = new Set()] = [expected.get(key), made.get(key)]
    const isSame = wanted.size === known.size && [...wanted].every((hash) => known.has(hash))
    if (isSame) continue
    scene.observer.violate('bought', `${key} knows ${known.size} items, and bought ${wanted.size}`)
  }
}

function add(sets: Map<string, Set<number>>, key: string, hashes: readonly number[]): void {
  const known = sets.get(key) ?? new Set()
  for (const hash of hashes) known.add(hash)
  sets.set(key, known)
}
