/**
 * Brings an event into the normal form of `event-mapping.ts`, so that a rule about `Product Viewed`
 * sees every shop. Pure, and idempotent: a normal event stays as it is.
 *
 * Nothing that the producer wrote is lost. What was changed, and what could not be read and was
 * left, is told by a list of changes from which the event can be made again as it was sent. Changes
 * of products are told once per property, not once per product.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import {
  currencyText,
  type EventShape,
  eventNameRows,
  numberText,
  type PropertyRow,
  propertyRows,
} from './event-mapping.ts'

export interface EventChange {
  /**
   * `renamed`: now under the name `to`. `copied`: now under `to` as well. `read`: another value
   * stands here now, `was` is the one sent. `left`: not what the mapping expects here.
   */
  readonly kind: 'renamed' | 'copied' | 'read' | 'left'
  /** JSON pointer into the event as it was sent; a `*` stands for each of the products. */
  readonly path: string
  readonly to?: string
  /** As it was sent; of products a list, one for each that is meant. */
  readonly was?: Json
  /** Which of the products are meant, by index; all where it is missing. */
  readonly at?: readonly number[]
}

export interface NormalForm {
  readonly name: string
  readonly properties: JsonObject | undefined
  readonly changes: readonly EventChange[]
}

interface Step {
  readonly row: PropertyRow
  /** Of copies: the earlier in the row wins. */
  readonly rank: number
}
type Steps = ReadonlyMap<string, Step>

const nameLengthMax = 40
const shapeOf = new Map<string, EventShape>()
const nameOfSpelling = new Map<string, string>()
for (const { name, shape, older } of eventNameRows) {
  shapeOf.set(name, shape)
  for (const spelling of [name, ...older]) nameOfSpelling.set(spellingOf(spelling), name)
}
const productSteps = stepsOf((row) => row.at !== 'event')
const stepsOfShape: Readonly<Record<EventShape, Steps>> = {
  product: stepsOf(() => true),
  other: stepsOf((row) => row.at !== 'product'),
}
const stepsOfUnknown = stepsOf((row) => row.reads === 'currency')
const none: readonly EventChange[] = []

/** Returns the name in today's spelling; a name that the mapping does not know as it is. */
export function todaysEventName(name: string): string {
  if (shapeOf.has(name) || name.length > nameLengthMax) return name
  return nameOfSpelling.get(spellingOf(name)) ?? name
}

/** Tells whether the mapping knows the event. `name` is in today's spelling. */
export function isEcommerceEvent(name: string): boolean {
  return shapeOf.has(name)
}

/** Returns the spellings that properties of these events do not keep, to the one they get. */
export function aliasesOf(name: string): ReadonlyMap<string, string> {
  const shape = shapeOf.get(name)
  const aliases = new Map<string, string>()
  for (const [key, { row, rank }] of shape === undefined ? stepsOfUnknown : stepsOfShape[shape]) {
    if (rank === 0 && key !== row.name) aliases.set(key, row.name)
  }
  return aliases
}

/** Returns where a place of the normal event stood in the event as it was sent. */
export function sentPathOf(path: string, changes: readonly EventChange[] = none): string {
  const parts = path.split('/')
  const isOfProduct = parts[2] === 'products' && parts.length > 4
  const nameAt = isOfProduct ? 4 : 2
  const folder = isOfProduct ? '/properties/products/*/' : '/properties/'
  const index = Number(parts[3])
  const change = changes.find(
    ({ kind, to, path: sent, at }) =>
      (kind === 'renamed' || kind === 'copied') &&
      to === parts[nameAt] &&
      sent.slice(0, sent.lastIndexOf('/') + 1) === folder &&
      (!isOfProduct || at === undefined || at.includes(index)),
  )
  if (change === undefined) return path
  return parts.with(nameAt, change.path.slice(folder.length)).join('/')
}

/** Returns a track call in normal form. The values must have passed `findLimitFault`. */
export function toNormalForm(sentName: string, sent: JsonObject | undefined): NormalForm {
  const name = todaysEventName(sentName)
  const changes: EventChange[] = []
  if (name !== sentName) changes.push({ kind: 'read', path: '/event', was: sentName })
  if (sent === undefined) return { name, properties: sent, changes }
  const shape = shapeOf.get(name)
  const steps = shape === undefined ? stepsOfUnknown : stepsOfShape[shape]
  const found: Found[] = []
  let properties = normalise(sent, steps, found)
  for (const { kind, key, to, was } of found) {
    // What another event calls a currency may be none.
    if (shape !== undefined || kind !== 'left') changes.push(changeOf(kind, key, to, was))
  }
  const { products } = properties
  if (shape !== undefined && Array.isArray(products)) {
    const lines = normaliseProducts(products as readonly Json[], changes)
    if (lines !== products) properties = { ...properties, products: lines }
  }
  return { name, properties, changes: changes.length === 0 ? none : changes }
}

function spellingOf(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_.-]+/g, '')
}

function stepsOf(isMeant: (row: PropertyRow) => boolean): Steps {
  const steps = new Map<string, Step>()
  for (const row of propertyRows.filter(isMeant)) {
    if (row.reads !== 'as-is') steps.set(row.name, { row, rank: 0 })
    for (const alias of row.renamed) steps.set(alias, { row, rank: 0 })
    for (const [index, other] of (row.copied ?? []).entries()) {
      steps.set(other, { row, rank: index + 1 })
    }
  }
  return steps
}

interface Found {
  readonly kind: EventChange['kind']
  readonly key: string
  readonly to?: string
  readonly was?: Json
}

/** Returns `sent` itself where nothing is to be done, so that most events cost no copy. */
function normalise(sent: JsonObject, steps: Steps, found: Found[]): JsonObject {
  const names = new Map<string, string>()
  const values = new Map<string, Json>()
  const copies: { readonly key: string; readonly step: Step }[] = []
  for (const key of Object.keys(sent)) {
    const step = steps.get(key)
    if (step === undefined) continue
    const { row, rank } = step
    if (rank > 0) {
      copies.push({ key, step })
      continue
    }
    if (key !== row.name) {
      if (Object.hasOwn(sent, row.name) || [...names.values()].includes(row.name)) {
        found.push({ kind: 'left', key })
        continue
      }
      names.set(key, row.name)
      found.push({ kind: 'renamed', key, to: row.name })
    }
    readValue(sent[key] as Json, { key, row, values, found })
  }
  const added = copies.length === 0 ? undefined : copyOf(sent, { copies, names, found })
  if (names.size === 0 && values.size === 0 && added === undefined) return sent
  const entries = Object.entries(sent).map(
    ([key, value]) => [names.get(key) ?? key, values.get(key) ?? value] as const,
  )
  return Object.fromEntries(added === undefined ? entries : [...entries, added])
}

function readValue(
  value: Json,
  into: {
    readonly key: string
    readonly row: PropertyRow
    readonly values: Map<string, Json>
    readonly found: Found[]
  },
): void {
  const { key, row, values, found } = into
  if (row.reads === 'as-is' || value === null) return
  const read = row.reads === 'number' ? numberOf(value) : currencyOf(value)
  if (read === undefined) found.push({ kind: 'left', key })
  else if (read !== value) {
    values.set(key, read)
    found.push({ kind: 'read', key, was: value })
  }
}

/** Returns the entry to add for a property that is missing, and that another can stand for. */
function copyOf(
  sent: JsonObject,
  given: {
    readonly copies: readonly { readonly key: string; readonly step: Step }[]
    readonly names: ReadonlyMap<string, string>
    readonly found: Found[]
  },
): readonly [string, Json] | undefined {
  const { names, found } = given
  const usable = given.copies.filter(({ key }) => isId(sent[key]))
  const first = usable.sort((left, right) => left.step.rank - right.step.rank)[0]
  if (first === undefined) return undefined
  const to = first.step.row.name
  if (Object.hasOwn(sent, to) || [...names.values()].includes(to)) return undefined
  found.push({ kind: 'copied', key: first.key, to })
  return [to, sent[first.key] as Json]
}

function normaliseProducts(products: readonly Json[], changes: EventChange[]): readonly Json[] {
  const byKind = new Map<string, { readonly first: Found; at: number[]; was: Json[] }>()
  let isChanged = false
  const lines = products.map((product, index) => {
    if (!isJsonObject(product)) return product
    const found: Found[] = []
    const line = normalise(product, productSteps, found)
    if (line !== product) isChanged = true
    for (const each of found) {
      const id = `${each.kind}/${each.key}`
      const group = byKind.get(id) ?? { first: each, at: [], was: [] }
      byKind.set(id, group)
      group.at.push(index)
      if (each.was !== undefined) group.was.push(each.was)
    }
    return line
  })
  for (const { first, at, was } of byKind.values()) {
    const { kind, key, to } = first
    const change = changeOf(kind, `products/*/${key}`, to, was.length > 0 ? was : undefined)
    changes.push(at.length === products.length ? change : { ...change, at })
  }
  return isChanged ? lines : products
}

function changeOf(
  kind: EventChange['kind'],
  key: string,
  to: string | undefined,
  was: Json | undefined,
): EventChange {
  return {
    kind,
    path: `/properties/${key}`,
    ...(to === undefined ? {} : { to }),
    ...(was === undefined ? {} : { was }),
  }
}

function isId(value: Json | undefined): boolean {
  return typeof value === 'number' || (typeof value === 'string' && value !== '')
}

function numberOf(value: Json): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && numberText.test(value) ? Number(value) : undefined
}

function currencyOf(value: Json): string | undefined {
  return typeof value === 'string' && currencyText.test(value) ? value.toUpperCase() : undefined
}
