/**
 * The rules of one named recommender: what kind of items, which of them, in which order. Read from
 * `recommenders/<name>.yaml`; whoever asks by name gets the rules in force.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { BlendWeights } from './blend-weights.ts'
import type { ItemFacts } from './item-facts.ts'
import { parseWeights } from './parse-weights.ts'

export const recommenderKinds = ['for-you', 'similar', 'trending', 'viewed-not-bought'] as const
export type RecommenderKind = (typeof recommenderKinds)[number]

/** An item fits where it is named by each of the lists that are given. */
export interface ItemFilter {
  readonly items?: readonly string[]
  /** Any category on the way to the item's. */
  readonly categories?: readonly string[]
  readonly brands?: readonly string[]
  readonly tags?: readonly string[]
}

export interface Boost {
  readonly filter: ItemFilter
  /** The score is multiplied by this. */
  readonly by: number
}

export interface PriceRange {
  readonly from: number
  readonly to: number
  /** Absent: the shop's. An item in another currency does not fit. */
  readonly currency?: string
}

export interface RecommenderRules {
  readonly kind: RecommenderKind
  readonly include?: ItemFilter
  /** An item is left out where one of the lists names it. */
  readonly exclude?: ItemFilter
  /** A category that a request narrows the rules to, beside `include`; of no definition. */
  readonly within?: string
  /** Come first, in this order, where they can be sold and fit the other rules. */
  readonly pins: readonly string[]
  readonly boosts: readonly Boost[]
  readonly price?: PriceRange
  /** An item without a locale fits all. */
  readonly locales?: readonly string[]
  /** 0 = by score alone, 1 = as different from each other as can be. */
  readonly diversity: number
  readonly perCategoryMax?: number
  readonly perBrandMax?: number
  /** Whether what the person has looked at already may come. */
  readonly showsViewed: boolean
  /** Whether what the person has bought may come again. */
  readonly showsBought: boolean
  /** Of the blend; absent: the shipped ones. */
  readonly weights?: BlendWeights
}

export const defaultRules: RecommenderRules = {
  kind: 'for-you',
  pins: [],
  boosts: [],
  diversity: 0.2,
  showsViewed: true,
  showsBought: false,
}

export interface RulesFault {
  readonly path: string
  readonly says: string
}

export type ParsedRules =
  | { readonly kind: 'rules'; readonly rules: RecommenderRules }
  | { readonly kind: 'refused'; readonly faults: readonly RulesFault[] }

const listCountMax = 1000
const pinCountMax = 20
const boostCountMax = 50
const textLengthMax = 200
const filterNames = ['items', 'categories', 'brands', 'tags'] as const
const fieldNames = [
  ...['name', 'kind', 'include', 'exclude', 'pin', 'boost', 'price', 'locales', 'diversity'],
  ...['maxPerCategory', 'maxPerBrand', 'viewed', 'bought', 'weights'],
]

/** Reads the rules of a recommender, or says all that is wrong with them. */
export function parseRules(input: Json, name: string): ParsedRules {
  const reader = new Reader()
  if (!isJsonObject(input)) {
    return { kind: 'refused', faults: [{ path: '', says: 'must be an object' }] }
  }
  reader.refuseUnknown(input, fieldNames, '')
  if (input['name'] !== undefined && input['name'] !== name) {
    reader.refuse('name', `must be that of the file, ${name}`)
  }
  const kind = reader.choice(input, 'kind', recommenderKinds, 'for-you')
  const include = reader.filter(input['include'], 'include')
  const exclude = reader.filter(input['exclude'], 'exclude')
  const price = reader.price(input['price'])
  const locales = reader.texts(input['locales'], 'locales', listCountMax)
  const perCategoryMax = reader.count(input, 'maxPerCategory')
  const perBrandMax = reader.count(input, 'maxPerBrand')
  const weights = reader.weights(input['weights'], kind)
  const rules: RecommenderRules = {
    kind,
    pins: reader.texts(input['pin'], 'pin', pinCountMax) ?? [],
    boosts: reader.boosts(input['boost']),
    diversity: reader.share(input, 'diversity', defaultRules.diversity),
    showsViewed: reader.choice(input, 'viewed', ['show', 'hide'], 'show') === 'show',
    showsBought: reader.choice(input, 'bought', ['show', 'hide'], 'hide') === 'show',
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(price === undefined ? {} : { price }),
    ...(locales === undefined ? {} : { locales }),
    ...(perCategoryMax === undefined ? {} : { perCategoryMax }),
    ...(perBrandMax === undefined ? {} : { perBrandMax }),
    ...(weights === undefined ? {} : { weights }),
  }
  if (reader.faults.length > 0) return { kind: 'refused', faults: reader.faults }
  return { kind: 'rules', rules }
}

/** Tells whether an item may come by these rules. `currency` is the shop's. */
export function fitsRules(rules: RecommenderRules, facts: ItemFacts, currency: string): boolean {
  const { include, exclude, within, price, locales } = rules
  if (within !== undefined && !facts.categories.includes(within)) return false
  if (include !== undefined && !fitsFilter(include, facts)) return false
  if (exclude !== undefined && fitsAny(exclude, facts)) return false
  if (locales !== undefined && facts.locale !== undefined && !locales.includes(facts.locale)) {
    return false
  }
  if (price === undefined) return true
  const isSame = (facts.currency ?? currency) === (price.currency ?? currency)
  return isSame && facts.price >= price.from && facts.price <= price.to
}

/** Returns what the score of an item is multiplied by. */
export function boostOf(rules: RecommenderRules, facts: ItemFacts): number {
  let boost = 1
  for (const { filter, by } of rules.boosts) if (fitsFilter(filter, facts)) boost *= by
  return boost
}

function fitsFilter(filter: ItemFilter, facts: ItemFacts): boolean {
  return filterNames.every((name) => filter[name] === undefined || isNamed(filter, name, facts))
}

function fitsAny(filter: ItemFilter, facts: ItemFacts): boolean {
  return filterNames.some((name) => filter[name] !== undefined && isNamed(filter, name, facts))
}

function isNamed(
  filter: ItemFilter,
  name: (typeof filterNames)[number],
  facts: ItemFacts,
): boolean {
  const list = filter[name] ?? []
  if (name === 'items') return list.includes(facts.itemId)
  if (name === 'brands') return facts.brand !== undefined && list.includes(facts.brand)
  const own = name === 'tags' ? facts.tags : facts.categories
  return own.some((each) => list.includes(each))
}

/** Reads fields, and keeps what is wrong with them. */
class Reader {
  readonly faults: RulesFault[] = []

  refuse(path: string, says: string): void {
    this.faults.push({ path, says })
  }

  refuseUnknown(input: JsonObject, known: readonly string[], path: string): void {
    for (const name of Object.keys(input)) {
      if (known.includes(name)) continue
      const at = path === '' ? name : `${path}.${name}`
      this.refuse(at, `is not known here; known are ${known.join(', ')}`)
    }
  }

  choice<Choice extends string>(
    input: JsonObject,
    name: string,
    choices: readonly Choice[],
    fallback: Choice,
  ): Choice {
    const value = input[name]
    const found = value === undefined ? fallback : choices.find((each) => each === value)
    if (found !== undefined) return found
    this.refuse(name, `must be one of ${choices.join(', ')}`)
    return fallback
  }

  texts(input: Json | undefined, path: string, countMax: number): readonly string[] | undefined {
    if (input === undefined) return undefined
    const isList = Array.isArray(input) && input.length > 0 && input.length <= countMax
    if (!isList) {
      this.refuse(path, `must be a list of 1 to ${countMax} texts`)
      return undefined
    }
    const texts = input.map((each: Json) => (typeof each === 'number' ? String(each) : each))
    for (const [index, text] of texts.entries()) {
      if (typeof text === 'string' && text !== '' && text.length <= textLengthMax) continue
      this.refuse(`${path}[${index}]`, `must be a text of 1 to ${textLengthMax} characters`)
    }
    return texts.filter((each) => typeof each === 'string')
  }

  filter(input: Json | undefined, path: string): ItemFilter | undefined {
    if (input === undefined) return undefined
    if (!isJsonObject(input) || Object.keys(input).length === 0) {
      this.refuse(path, `must be an object with ${filterNames.join(', ')}`)
      return undefined
    }
    this.refuseUnknown(input, filterNames, path)
    return this.#filterFields(input, path)
  }

  boosts(input: Json | undefined): readonly Boost[] {
    if (input === undefined) return []
    if (!Array.isArray(input) || input.length > boostCountMax) {
      this.refuse('boost', `must be a list of at most ${boostCountMax}`)
      return []
    }
    return input.flatMap((each: Json, index): readonly Boost[] => {
      const path = `boost[${index}]`
      if (!isJsonObject(each)) {
        this.refuse(path, 'must be {categories: [...], by: 1.5}')
        return []
      }
      this.refuseUnknown(each, [...filterNames, 'by'], path)
      const { by } = each
      const isFactor = typeof by === 'number' && by >= 0.01 && by <= 100
      if (!isFactor) this.refuse(`${path}.by`, 'must be a number from 0.01 to 100')
      const filter = this.#filterFields(each, path)
      if (Object.keys(filter).length === 0) this.refuse(path, 'must say which items')
      return isFactor ? [{ filter, by }] : []
    })
  }

  price(input: Json | undefined): PriceRange | undefined {
    if (input === undefined) return undefined
    if (!isJsonObject(input)) {
      this.refuse('price', 'must be {from: 10, to: 50}')
      return undefined
    }
    this.refuseUnknown(input, ['from', 'to', 'currency'], 'price')
    const from = this.#amount(input, 'from', 0)
    const to = this.#amount(input, 'to', Number.MAX_VALUE)
    if (to < from) this.refuse('price.to', 'must not be less than price.from')
    const { currency } = input
    if (currency === undefined) return { from, to }
    if (typeof currency === 'string' && /^[A-Z]{3}$/.test(currency)) return { from, to, currency }
    this.refuse('price.currency', 'must be three capitals, such as EUR')
    return undefined
  }

  weights(input: Json | undefined, kind: RecommenderKind): BlendWeights | undefined {
    if (input === undefined) return undefined
    if (kind === 'for-you' || kind === 'similar') {
      return parseWeights(input, 'weights', (path, says) => this.refuse(path, says))
    }
    this.refuse('weights', `is for kinds with a blend, for-you and similar; ${kind} has none`)
    return undefined
  }

  share(input: JsonObject, name: string, fallback: number): number {
    const value = input[name]
    if (value === undefined) return fallback
    if (typeof value === 'number' && value >= 0 && value <= 1) return value
    this.refuse(name, 'must be a number from 0 to 1')
    return fallback
  }

  count(input: JsonObject, name: string): number | undefined {
    const value = input[name]
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 100) {
      return value
    }
    this.refuse(name, 'must be a whole number from 1 to 100')
    return undefined
  }

  #amount(input: JsonObject, name: string, fallback: number): number {
    const value = input[name]
    if (value === undefined) return fallback
    if (typeof value === 'number' && value >= 0 && value <= 1e9) return value
    this.refuse(`price.${name}`, 'must be an amount, not negative')
    return fallback
  }

  #filterFields(input: JsonObject, path: string): ItemFilter {
    const filter: { -readonly [Name in keyof ItemFilter]: ItemFilter[Name] } = {}
    for (const name of filterNames) {
      const texts = this.texts(input[name], `${path}.${name}`, listCountMax)
      if (texts !== undefined) filter[name] = texts
    }
    return filter
  }
}
