import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { cutText } from '../activity-pack.ts'
import {
  type Added,
  addTaste,
  affinityBytesMax,
  affinityCountMax,
  affinityKinds,
  decodeAffinities,
  encodeAffinities,
  type Taste,
} from './affinity-pack.ts'
import { createDesk } from './desk.ts'

type List = readonly { readonly name: string; readonly weight: number }[]

/** The lightest goes where there are too many; of those the one whose name comes last. */
function addNaively(list: List, text: string, weight: number): List {
  const name = cutText(text, 48).toString()
  const known = list.find((each) => each.name === name)
  const isLater = (one: string, other: string): number => (one < other ? 1 : -1)
  const [lightest] = list.toSorted(
    (one, other) => one.weight - other.weight || isLater(one.name, other.name),
  )
  const isFull = known === undefined && list.length === affinityCountMax
  const gone = isFull ? lightest : known
  const rest = list.filter((each) => each !== gone)
  return [...rest, { name, weight: (known?.weight ?? 0) + weight }]
}

it('a name is added to the end of its list, in place of the lightest where that is full', () => {
  const names = Array.from({ length: affinityCountMax + 3 }, (_, index) => `name${index}`)
  const text = fc.oneof(
    fc.constantFrom(...names, ''),
    fc.string({ unit: 'binary', minLength: 40, maxLength: 60 }),
  )
  const taste = fc.record({ category: text, brand: text, priceBand: text }, { requiredKeys: [] })
  const added = fc.record({ weight: fc.constantFrom(1, 2, 3), atMs: fc.nat(100) })
  const some = fc.array(fc.tuple(taste, added), { minLength: 1, maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(some, fc.nat(9), (drawn: readonly (readonly [Taste, Added])[], from) => {
      const desk = createDesk(from + affinityBytesMax)
      desk.end = from
      let lists: readonly List[] = affinityKinds.map(() => [])
      let newestAtMs = 0
      for (const [one, { weight, atMs }] of drawn) {
        addTaste(desk, from, one, { weight, atMs })
        if (affinityKinds.every((kind) => (one[kind] ?? '') === '')) continue
        newestAtMs = Math.max(newestAtMs, atMs)
        lists = lists.map((list, kind) => {
          const name = one[affinityKinds[kind] ?? 'brand'] ?? ''
          return name === '' ? list : addNaively(list, name, weight)
        })
      }
      const bytes = desk.bytes.subarray(from, desk.end)
      if (newestAtMs === 0 && lists.every((list) => list.length === 0)) {
        return assert.equal(bytes.length, 0)
      }
      assert.deepEqual(decodeAffinities(bytes), { newestAtMs, lists })
      assert.deepEqual(Buffer.from(encodeAffinities({ newestAtMs, lists })), Buffer.from(bytes))
    }),
  )
})
