/**
 * Recommendations as they may be shown: what the index advises, joined with the catalog of this
 * moment. Price and stock come from the catalog alone, so what sold out, went or changed its price
 * since the index heard of it is left out here; a few more are asked for to make up for it, and
 * where those do not suffice the index is asked again. What is shown already counts for diversity
 * and its limits in all rounds.
 *
 * The index is asked four times at most, each time for what is missing and 5, 10, 20 and 40 more,
 * never for more than `adviceCountMax`. So where more than 75 of the items that it holds for the
 * best cannot be shown, an answer may have fewer than asked for though there are more.
 *
 * Several slots of one message are filled one after the other, and none shows what another shows.
 */

import { type Item, isAvailable } from '../catalog/item.ts'
import { cartOf } from '../profile/cart.ts'
import type { PersonView } from '../profile/person-view.ts'
import { adviceRequestOf } from '../recommend/advice-request.ts'
import {
  type Advice,
  type AdviceRequest,
  type AdvisedItem,
  adviceCountMax,
} from '../recommend/advisor.ts'
import { factsOf } from '../recommend/item-facts.ts'
import { Limits } from '../recommend/rank-diverse.ts'
import { defaultRules, fitsRules, type RecommenderRules } from '../recommend/recommender-rules.ts'
import type { ReadItems } from './item-reader.ts'
import { findItems, type StatePlace } from './read-state.ts'

export interface RecommendDeps {
  readonly place: StatePlace
  advise(request: AdviceRequest): Promise<Advice>
  /** Absent: each item is read from the state. */
  readonly readItems?: ReadItems
}

export interface RecommendedItem {
  readonly advised: AdvisedItem
  readonly item: Item
}

export interface RecommendedItems {
  readonly items: readonly RecommendedItem[]
  /** By id: what the reasons name, as the catalog has it. */
  readonly named: ReadonlyMap<string, Item>
  /** Version of the index. */
  readonly learnedCount: number
}

export interface SlotAsked {
  readonly name: string
  readonly countMax: number
  /** Absent: the rules that hold without a definition. */
  readonly rules?: RecommenderRules
}

export interface FilledSlot extends RecommendedItems {
  readonly name: string
}

/** Asked for besides, in place of those that cannot be shown; twice as many each round. */
const spareCount = 5
const roundCountMax = 4

/** Answers one query, with fewer items than asked for also where four rounds did not find them. */
export async function recommendItems(
  deps: RecommendDeps,
  request: AdviceRequest,
): Promise<RecommendedItems> {
  if (request.countMax <= 0) return { items: [], named: new Map(), learnedCount: 0 }
  const found: RecommendedItem[] = []
  const named = new Map<string, Item>()
  const advisedIds = new Set<string>()
  let learnedCount = 0
  let kept: readonly RecommendedItem[] = []
  let beyond: readonly RecommendedItem[] = []
  for (let round = 0; round < roundCountMax; round++) {
    const missing = request.countMax - kept.length
    const countMax = Math.min(adviceCountMax, missing + spareCount * 2 ** round)
    const advice = await deps.advise({ ...request, countMax, ...behind(request, advisedIds, kept) })
    learnedCount = Math.max(learnedCount, advice.learnedCount)
    const fresh = advice.recommendations.filter(({ itemId }) => !advisedIds.has(itemId))
    for (const { itemId } of fresh) advisedIds.add(itemId)
    const shown = await findShown(deps, request, { advised: fresh, named })
    found.push(...shown)
    ;[kept, beyond] = divide(found, request.rules)
    // Where all of a round can be sold, the index had no more that keep the limits.
    const isFull = shown.length === fresh.length && found.length >= request.countMax
    const mayBeMore = fresh.length > 0 && advice.recommendations.length >= countMax
    if (kept.length >= request.countMax || isFull || !mayBeMore) break
  }
  return { items: [...kept, ...beyond].slice(0, request.countMax), named, learnedCount }
}

/** Divides items into those that keep the limits of the rules, in their order, and the others. */
function divide(
  items: readonly RecommendedItem[],
  rules: RecommenderRules = defaultRules,
): readonly [readonly RecommendedItem[], readonly RecommendedItem[]] {
  const limits = new Limits(rules)
  if (!limits.areSet) return [items, []]
  const kept: RecommendedItem[] = []
  const beyond: RecommendedItem[] = []
  for (const each of items) {
    const facts = factsOf(each.item)
    const isKept = each.advised.reason.kind === 'pinned' || limits.hasRoom(facts)
    if (isKept) limits.take(facts)
    ;(isKept ? kept : beyond).push(each)
  }
  return [kept, beyond]
}

/** Returns what an answer behind others is to know: what was advised, and what of it is shown. */
function behind(
  { excludeItemIds }: AdviceRequest,
  advisedIds: ReadonlySet<string>,
  kept: readonly RecommendedItem[],
): Pick<AdviceRequest, 'excludeItemIds' | 'takenItemIds'> {
  if (advisedIds.size === 0) return { excludeItemIds }
  return {
    excludeItemIds: [...excludeItemIds, ...advisedIds],
    takenItemIds: kept.map(({ item }) => item.itemId),
  }
}

/** Returns those that can be sold now and fit; adds what the catalog says of them to `named`. */
async function findShown(
  deps: RecommendDeps,
  request: AdviceRequest,
  {
    advised,
    named,
  }: { readonly advised: readonly AdvisedItem[]; readonly named: Map<string, Item> },
): Promise<readonly RecommendedItem[]> {
  const itemIds = advised.flatMap(({ itemId, reason }) => [itemId, reason.itemId ?? itemId])
  const found = await (deps.readItems?.(itemIds) ?? findItems(deps.place, itemIds))
  for (const [itemId, item] of found) named.set(itemId, item)
  const { rules = defaultRules, nowMs, currency = '' } = request
  return advised.flatMap((each) => {
    const item = found.get(each.itemId)
    const isShown = item !== undefined && isAvailable(item, nowMs)
    return isShown && fitsRules(rules, factsOf(item), currency) ? [{ advised: each, item }] : []
  })
}

/** Fills the slots of one message for a person, in their order. */
export async function fillSlots(
  deps: RecommendDeps,
  view: Pick<PersonView, 'activity' | 'bought'>,
  asked: {
    readonly slots: readonly SlotAsked[]
    readonly nowMs: number
    readonly currency: string
    readonly excludeItemIds?: readonly string[]
  },
): Promise<readonly FilledSlot[]> {
  const cartItemIds = cartOf(view.activity).map(({ itemId }) => itemId)
  const shown = [...cartItemIds, ...(asked.excludeItemIds ?? [])]
  const filled: FilledSlot[] = []
  for (const { name, countMax, rules } of asked.slots) {
    const { nowMs, currency } = asked
    const ask = { nowMs, currency, countMax, ...(rules === undefined ? {} : { rules }) }
    const slot = await recommendItems(deps, adviceRequestOf(view, shown, ask))
    filled.push({ name, ...slot })
    shown.push(...slot.items.map(({ item }) => item.itemId))
  }
  return filled
}
