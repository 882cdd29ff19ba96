import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CategoryTrends } from './category-trends.ts'
import { ItemContents } from './item-contents.ts'
import { Trending } from './trending.ts'

const slotCount = 90
const listLength = 64
const dayMs = 86_400_000
const someSlot = fc.integer({ min: 0, max: slotCount - 1 })
const someStep = fc.oneof(
  { weight: 12, arbitrary: fc.record({ does: fc.constant('meet' as const), slot: someSlot }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('move' as const), slot: someSlot }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('evict' as const), slot: someSlot }) },
)

describe('CategoryTrends', () => {
  it('holds what looking at the whole list each time would (property)', () => {
    fc.assert(
      fc.property(fc.array(someStep, { minLength: 300, maxLength: 600 }), (steps) => {
        const contents = new ItemContents()
        const trending = new Trending(dayMs)
        const trends = new CategoryTrends(contents, trending)
        const plain = new PlainLists(contents, trending)
        const place = (slot: number, name: string): void => {
          trends.forget(slot)
          contents.set(slot, { itemId: `${slot}`, categories: ['All', name] })
        }
        for (let slot = 0; slot < slotCount; slot++) place(slot, slot % 9 === 0 ? 'few' : 'many')
        let atMs = 0
        for (const { does, slot } of steps) {
          atMs += dayMs / 100
          if (does === 'meet') trending.learn(slot, 'view', atMs)
          else if (does === 'move') {
            trending.admit(slot)
            place(slot, contents.narrowOf(slot) === contents.narrowOf(0) ? 'many' : 'few')
          } else {
            trends.forget(slot)
            trending.forget(slot)
            contents.forget(slot)
          }
          trends.learn({ slot })
          plain.learn(slot)
        }
        for (const category of [1, 2, 3]) {
          assert.deepEqual(inOrder(trends.heaviestOf(category)), plain.of(category), `${category}`)
        }
      }),
      { numRuns: 40 },
    )
  })
})

class PlainLists {
  readonly #lists = new Map<number, number[]>()
  readonly #contents: ItemContents
  readonly #trending: Trending

  constructor(contents: ItemContents, trending: Trending) {
    this.#contents = contents
    this.#trending = trending
  }

  learn(slot: number): void {
    for (const category of [this.#contents.narrowOf(slot), this.#contents.wideOf(slot)]) {
      if (category !== 0) this.#lift(category, slot)
    }
  }

  of(category: number): readonly number[] {
    const list = this.#lists.get(category) ?? []
    return inOrder(list.filter((slot) => this.#isOf(category, slot)))
  }

  #lift(category: number, slot: number): void {
    const list = this.#lists.get(category) ?? new Array<number>(listLength).fill(-1)
    this.#lists.set(category, list)
    if (list.includes(slot)) return
    const weights = list.map((other) =>
      other < 0 || !this.#isOf(category, other) ? -1 : this.#trending.weightOf(other),
    )
    const least = Math.min(...weights)
    if (least < this.#trending.weightOf(slot)) list[weights.indexOf(least)] = slot
  }

  #isOf(category: number, slot: number): boolean {
    if (slot < 0) return false
    return this.#contents.narrowOf(slot) === category || this.#contents.wideOf(slot) === category
  }
}

function inOrder(slots: readonly number[]): readonly number[] {
  return slots.toSorted((left, right) => left - right)
}
