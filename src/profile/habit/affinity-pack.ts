/**
 * What one identity key's events say a person likes: categories, brands and price bands of items,
 * each with a weight that halves every `affinityHalfLifeMs`.
 *
 * Nothing is ever scaled down: a newer event weighs more instead ("forward decay", Cormode et al.
 * 2009), 2^(time since a landmark / half-life). So weights are sums, the same in whatever order
 * events arrive (but for the rounding of sums), those of several keys are added, and time alone
 * changes neither order nor share.
 *
 * Up to `affinityCountMax` different names of a kind are kept. A new one beyond takes the place of
 * the lightest and begins with its own weight: so a weight is exact, or what came since it last had
 * to begin anew.
 *
 * Layout: f64 newestAtMs | per kind u8 names | per name f64 weight | u8 bytes | UTF-8.
 */

import { type Desk, writeText } from './desk.ts'

export const affinityKinds = ['category', 'brand', 'priceBand'] as const
export type AffinityKind = (typeof affinityKinds)[number]

export const affinityHalfLifeMs = 30 * 86_400_000
/** Names of one kind and identity key. */
export const affinityCountMax = 10
const nameBytesMax = 48
const headBytes = 8
/** Of all affinities of one part. */
export const affinityBytesMax: number =
  headBytes + affinityKinds.length * (1 + affinityCountMax * (9 + nameBytesMax))
/** Of those who take up too much over all keys: see `shortenAffinities`. */
const shortCountMax = 3

/**
 * Of the events that say what somebody likes. They are those of the recommendation index: a view
 * 1, cart 6, purchase 3.
 */
export const actionWeights: Readonly<Record<string, number>> = {
  'Product Viewed': 1,
  'Product Added': 6,
  'Order Completed': 3,
}

/** 2020-01-01; with it weights stay within what a double holds from 1936 to 2104. */
const landmarkMs = 1_577_836_800_000
const exponentMax = 1_020

/** What an item of an event is; each where it is known. */
export interface Taste {
  readonly category?: string | undefined
  readonly brand?: string | undefined
  readonly priceBand?: string | undefined
}

export interface Affinities {
  /** When the newest event that added to them occurred. */
  readonly newestAtMs: number
  /** By `affinityKinds`. */
  readonly lists: readonly (readonly Affinity[])[]
}
interface Affinity {
  readonly name: string
  readonly weight: number
}

/** Returns how much an event of that instant weighs, in the unit of stored weights. */
export function weightAt(atMs: number): number {
  const exponent = (atMs - landmarkMs) / affinityHalfLifeMs
  return 2 ** Math.max(-exponentMax, Math.min(exponentMax, exponent))
}

const powers = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8]
const priceBounds = [...powers.flatMap((power) => [power, 2 * power, 5 * power]), 1e9]
const priceBands = priceBounds.map((bound, index) => `${priceBounds[index - 1] ?? 0}-${bound}`)

/** Returns the band of a price: bounds are 1, 2 and 5 times a power of ten, as `20-50`. */
export function priceBandOf(price: number): string | undefined {
  if (!(price >= 0)) return undefined
  let index = 0
  while (index < priceBounds.length && price >= (priceBounds[index] ?? 0)) index++
  return priceBands[index]
}

/** Of an event: `weightAt` times what it counts for. */
export interface Added {
  readonly weight: number
  readonly atMs: number
}

/** Adds what one item of an event says to the affinities at the end of a desk. */
export function addTaste(desk: Desk, from: number, taste: Taste, added: Added): void {
  for (let kind = 0; kind < affinityKinds.length; kind++) {
    const text = taste[affinityKinds[kind] as AffinityKind] ?? ''
    if (text !== '') addName(desk, from, { kind, text }, added)
  }
}

const nameBytes = Buffer.alloc(nameBytesMax)

/** The name comes to the end of its list. */
function addName(
  desk: Desk,
  from: number,
  { kind, text }: { readonly kind: number; readonly text: string },
  { weight, atMs }: Added,
): void {
  const { bytes, view } = desk
  if (desk.end === from) {
    desk.end = from + headBytes + affinityKinds.length
    bytes.fill(0, from, desk.end)
  }
  if (atMs > view.getFloat64(from)) view.setFloat64(from, atMs)
  let countAt = from + headBytes
  for (let before = 0; before < kind; before++) countAt = behindList(desk, countAt)
  const listEnd = behindList(desk, countAt)
  const length = writeText(nameBytes, 0, text, nameBytesMax)
  const count = view.getUint8(countAt)
  const knownAt = findName(desk, countAt + 1, listEnd, length)
  const isFull = knownAt === listEnd && count >= affinityCountMax
  const goneAt = isFull ? findLightest(desk, countAt + 1, listEnd) : knownAt
  const goneBytes = goneAt === listEnd ? 0 : 9 + view.getUint8(goneAt + 8)
  const sum = knownAt === listEnd ? weight : view.getFloat64(knownAt) + weight
  const at = listEnd - goneBytes
  const behindAt = at + 9 + length
  if (goneAt !== at) bytes.copyWithin(goneAt, goneAt + goneBytes, listEnd)
  if (behindAt !== listEnd) bytes.copyWithin(behindAt, listEnd, desk.end)
  desk.end += behindAt - listEnd
  view.setUint8(countAt, goneBytes === 0 ? count + 1 : count)
  view.setFloat64(at, sum)
  view.setUint8(at + 8, length)
  nameBytes.copy(bytes, at + 9, 0, length)
}

function behindList({ view }: Desk, countAt: number): number {
  let at = countAt + 1
  for (let left = view.getUint8(countAt); left > 0; left--) at += 9 + view.getUint8(at + 8)
  return at
}

/** Returns where `nameBytes` stands; `end` where it does not. */
function findName({ bytes, view }: Desk, from: number, end: number, length: number): number {
  let at = from
  for (; at < end; at += 9 + view.getUint8(at + 8)) {
    if (view.getUint8(at + 8) !== length) continue
    let same = 0
    while (same < length && bytes[at + 9 + same] === nameBytes[same]) same++
    if (same === length) return at
  }
  return at
}

/** Returns where the last of a list stands, were it sorted by `heaviestFirst`. */
function findLightest({ bytes, view }: Desk, from: number, end: number): number {
  const nameAt = (at: number): string =>
    bytes.toString('utf8', at + 9, at + 9 + view.getUint8(at + 8))
  let lightest = from
  for (let at = from; at < end; at += 9 + view.getUint8(at + 8)) {
    const [one, other] = [view.getFloat64(at), view.getFloat64(lightest)]
    if (one < other || (one === other && nameAt(at) > nameAt(lightest))) lightest = at
  }
  return lightest
}

/**
 * Adds to the affinities that begin at `from`, where all names of the taste are known and of ASCII.
 * Where it answers false some may be added, and the bytes are to be thrown away.
 */
export function addTasteInPlace(
  view: DataView,
  from: number,
  taste: Taste,
  { weight, atMs }: Added,
): boolean {
  if (atMs > view.getFloat64(from)) view.setFloat64(from, atMs)
  let at = from + headBytes
  for (let kind = 0; kind < affinityKinds.length; kind++) {
    const name = taste[affinityKinds[kind] as AffinityKind] ?? ''
    const nameLength = name.length
    let isAdded = nameLength === 0
    const count = view.getUint8(at++)
    for (let index = 0; index < count; index++) {
      const length = view.getUint8(at + 8)
      if (!isAdded && length === nameLength && isNameAt(view, at + 9, name)) {
        view.setFloat64(at, view.getFloat64(at) + weight)
        isAdded = true
      }
      at += 9 + length
    }
    if (!isAdded) return false
  }
  return true
}

/** Adds those of the same key, which two persons had one after the other. */
export function mergeAffinities(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length === 0 || right.length === 0) return left.length === 0 ? right : left
  const [one, other] = [decodeAffinities(left), decodeAffinities(right)]
  return encodeAffinities({
    newestAtMs: Math.max(one.newestAtMs, other.newestAtMs),
    lists: one.lists.map((list, index) =>
      sumAffinities([list, other.lists[index] ?? []]).slice(0, affinityCountMax),
    ),
  })
}

/** Returns sums by name, heaviest first. */
export function sumAffinities(lists: readonly (readonly Affinity[])[]): readonly Affinity[] {
  const weights = new Map<string, number[]>()
  for (const { name, weight } of lists.flat()) {
    const known = weights.get(name)
    if (known === undefined) weights.set(name, [weight])
    else known.push(weight)
  }
  // In one order, so that keys may be given in any.
  const sum = (some: readonly number[]): number =>
    some.toSorted((left, right) => left - right).reduce((left, right) => left + right, 0)
  return [...weights].map(([name, some]) => ({ name, weight: sum(some) })).sort(heaviestFirst)
}

/** Keeps the heaviest few. */
export function shortenAffinities(bytes: Uint8Array): Uint8Array {
  const { newestAtMs, lists } = decodeAffinities(bytes)
  return encodeAffinities({
    newestAtMs,
    lists: lists.map((list) => list.toSorted(heaviestFirst).slice(0, shortCountMax)),
  })
}

export function encodeAffinities({ newestAtMs, lists }: Affinities): Uint8Array {
  const names = lists.map((list) => list.map(({ name }) => Buffer.from(name)))
  let size = headBytes + lists.length
  for (const name of names.flat()) size += 9 + name.length
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setFloat64(0, newestAtMs)
  let at = headBytes
  for (const [kind, list] of lists.entries()) {
    bytes[at++] = list.length
    for (const [index, { weight }] of list.entries()) {
      const name = names[kind]?.[index] ?? empty
      view.setFloat64(at, weight)
      bytes[at + 8] = name.length
      bytes.set(name, at + 9)
      at += 9 + name.length
    }
  }
  return bytes
}

const empty = new Uint8Array(0)

export function decodeAffinities(source: Uint8Array): Affinities {
  if (source.length === 0) return { newestAtMs: 0, lists: affinityKinds.map(() => []) }
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  let at = headBytes
  const lists = affinityKinds.map(() => {
    const list: Affinity[] = []
    const count = bytes[at++] ?? 0
    for (let index = 0; index < count; index++) {
      const end = at + 9 + (bytes[at + 8] ?? 0)
      const name = bytes.toString('utf8', at + 9, end)
      list.push({ name, weight: bytes.readDoubleBE(at) })
      at = end
    }
    return list
  })
  return { newestAtMs: bytes.readDoubleBE(0), lists }
}

/** Of another name than one of ASCII it answers false: a byte above is half of a character. */
function isNameAt(view: DataView, from: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    if (code > 0x7f || view.getUint8(from + index) !== code) return false
  }
  return true
}

function heaviestFirst(left: Affinity, right: Affinity): number {
  return right.weight - left.weight || (left.name < right.name ? -1 : 1)
}
