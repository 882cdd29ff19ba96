/**
 * The most frequent value over all time. Of equal counts the one met last, then the greater text.
 *
 * Exact up to `cellCountMax` different values of one identity key. Beyond, the rarest go, of those
 * the oldest, and the answer is no longer called exact.
 */

import type { Json } from '../../lib/json.ts'
import {
  createKind,
  decodeJsonState,
  encodeJsonState,
  scalarSample,
  type TraitKind,
} from './kind.ts'

interface Counted {
  readonly value: Json
  readonly count: number
  readonly lastMs: number
}

interface Counts {
  readonly isCut: boolean
  readonly values: readonly Counted[]
}

export function createFrequent(): TraitKind {
  const bound = ({ isCut, values }: Counts, cellCountMax: number): Counts => {
    if (values.length <= cellCountMax) return { isCut, values }
    return { isCut: true, values: values.toSorted(byRank).slice(0, cellCountMax) }
  }
  return createKind<Counts>({
    empty: { isCut: false, values: [] },
    prepare: scalarSample,
    add: ({ isCut, values }, samples, { cellCountMax }) => {
      const counted = samples.map(({ atMs, value }) => ({ value, count: 1, lastMs: atMs }))
      const added = join(values, counted)
      return bound({ isCut, values: added }, cellCountMax)
    },
    merge: (left, right, { cellCountMax }) => {
      const isCut = left.isCut || right.isCut
      return bound({ isCut, values: join(left.values, right.values) }, cellCountMax)
    },
    answerAt: ({ isCut, values }) => ({
      value: values.toSorted(byRank)[0]?.value,
      isExact: !isCut,
    }),
    nextChangeAt: () => Infinity,
    encode: ({ isCut, values }) => {
      // In an order of their own, so that equal states have equal bytes.
      const flat = values.toSorted(byRank).flatMap((each) => [each.value, each.count, each.lastMs])
      return encodeJsonState([isCut, ...flat])
    },
    decode: (bytes) => {
      const [isCut, ...flat] = decodeJsonState(bytes)
      const values = Array.from({ length: flat.length / 3 }, (_, index) => ({
        value: flat[index * 3] as Json,
        count: flat[index * 3 + 1] as number,
        lastMs: flat[index * 3 + 2] as number,
      }))
      return { isCut: isCut === true, values }
    },
  })
}

function join(left: readonly Counted[], right: readonly Counted[]): readonly Counted[] {
  const byValue = new Map<Json, Counted>(left.map((each) => [each.value, each]))
  for (const each of right) {
    const before = byValue.get(each.value)
    const count = each.count + (before?.count ?? 0)
    const lastMs = Math.max(each.lastMs, before?.lastMs ?? each.lastMs)
    byValue.set(each.value, { value: each.value, count, lastMs })
  }
  return [...byValue.values()]
}

function byRank(left: Counted, right: Counted): number {
  const byNumbers = right.count - left.count || right.lastMs - left.lastMs
  if (byNumbers !== 0) return byNumbers
  const [one, other] = [textOf(left.value), textOf(right.value)]
  if (one === other) return 0
  return one < other ? 1 : -1
}

function textOf(value: Json): string {
  return JSON.stringify(value)
}
