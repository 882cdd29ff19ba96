/**
 * Scores algorithms on what people did across their visits, in the order of time: train, then
 * validation (the last tenth of train), then test.
 *
 * Each interaction of the test with a past of its person is predicted from that past, among all
 * items. Weights are fitted on the validation alone, each interaction before it is learned; the
 * test is never fitted to. Frozen: nothing of the test is learned. Updated: each interaction is
 * learned right after it was scored, as the running index does.
 *
 * All algorithms are asked in one pass over the test by one index, which differ in weights alone.
 */

import { assert } from '../../lib/assert.ts'
import { type Blend, type BlendOptions, createBlend } from '../blend.ts'
import { type BlendWeights, defaultWeights } from '../blend-weights.ts'
import type { ItemContent } from '../item-contents.ts'
import { type InteractionKind, interactionKinds, type RecommendQuery } from '../recommender.ts'
import { fitWeights, type WeightSample } from './fit-weights.ts'
import type { PeopleActivity } from './people-activity.ts'
import {
  type EvaluateDeps,
  excludedOf,
  predict,
  progressEvery,
  sampleEvery,
  validationShare,
} from './predict.ts'
import { type Figures, ScoreBoard } from './score-board.ts'

export interface PeopleOptions {
  /** The test begins here; absent: with the last fifth of the interactions. */
  readonly testFromMs?: number
  readonly isUpdated: boolean
  /** Never answer the item that the person is at. */
  readonly isCurrentExcluded: boolean
  /** Predict only items that the person had not met, and answer no others. */
  readonly isNewOnly: boolean
  /** Predict only interactions of this kind; absent: all. */
  readonly only?: InteractionKind
  readonly isFitted: boolean
  /** Of more, so many people are taken that it is about this. */
  readonly predictionCountMax: number
  /** People, by number, of whom nothing is predicted: robots. */
  readonly unasked: ReadonlySet<number>
  readonly blend: Partial<BlendOptions>
  /** What the catalog has now. */
  readonly contents: readonly ItemContent[]
}

/** One line of the answer: `weights` absent for those fitted. */
export interface PeopleRow {
  readonly algorithm: string
  readonly weights?: BlendWeights
}

export interface PeopleEvaluation extends Figures {
  readonly algorithm: string
  readonly weights: BlendWeights
}

/** Places in the order of time, from 0. */
export interface PeopleSplit {
  readonly fitFrom: number
  readonly testFrom: number
  readonly count: number
  /** Interactions of the test that have a past. */
  readonly predictableCount: number
}

const testShare = 0.2
/** Newest of a person's past that a query has, as in `advisor.ts`. */
const activityCountMax = 50
/** Items that recall and NDCG look ahead. */
const restCountMax = 100
const kindCount = interactionKinds.length

/** What a person did last, by item and kind: the places in the order of time. */
type Past = Map<number, number>

export class PeopleEvaluator {
  readonly split: PeopleSplit
  readonly #deps: EvaluateDeps
  readonly #activity: PeopleActivity
  readonly #options: PeopleOptions
  readonly #pasts = new Map<number, Past>()

  constructor(deps: EvaluateDeps, activity: PeopleActivity, options: PeopleOptions) {
    this.#deps = deps
    this.#activity = activity
    this.#options = options
    const { count } = activity
    const shareFrom = activity.atMsAt(Math.floor(count * (1 - testShare)))
    const testFrom = activity.placeFrom(options.testFromMs ?? shareFrom)
    const fitFrom = Math.floor(testFrom * (1 - validationShare))
    this.split = { fitFrom, testFrom, count, predictableCount: this.#countPredictable(testFrom) }
  }

  /** Scores all rows; of each algorithm one figure per metric. */
  evaluate(rows: readonly PeopleRow[]): readonly PeopleEvaluation[] {
    const { testFrom } = this.split
    this.#pasts.clear()
    const index = createBlend(this.#options.blend)
    for (const content of this.#options.contents) index.describe(content)
    const fitted = this.#train(index)
    const frequencies = new Map<string, number>()
    for (let place = 0; place < testFrom; place++) {
      const itemId = this.#activity.itemIdOf(this.#activity.itemAt(place))
      frequencies.set(itemId, (frequencies.get(itemId) ?? 0) + 1)
    }
    const asked = rows.map(({ algorithm, weights = fitted }) => {
      return { algorithm, weights, board: new ScoreBoard(frequencies) }
    })
    this.#score(index, asked)
    return asked.map(({ algorithm, weights, board }) => {
      return { algorithm, ...board.figures(), weights }
    })
  }

  #train(index: Blend): BlendWeights {
    const { fitFrom, testFrom } = this.split
    const samples: WeightSample[] = []
    const every = sampleEvery(testFrom - fitFrom)
    for (let place = 0; place < testFrom; place++) {
      const isFitting = this.#options.isFitted && place >= fitFrom
      if (place % progressEvery === 0) {
        this.#deps.progress?.(isFitting ? 'learn and fit' : 'learn', place, testFrom)
      }
      if (isFitting && (place - fitFrom) % every === 0) {
        const sample = this.#sampleAt(index, place)
        if (sample !== undefined) samples.push(sample)
      }
      this.#remember(place)
      index.learn(this.#activity.at(place))
    }
    return this.#options.isFitted ? fitWeights(samples, defaultWeights) : defaultWeights
  }

  #sampleAt(index: Blend, place: number): WeightSample | undefined {
    const person = this.#activity.personAt(place)
    const past = this.#pasts.get(person)
    if (past === undefined || !this.#isAsked(past, place)) return undefined
    if (this.#options.unasked.has(person)) return undefined
    const { itemId, occurredAtMs } = this.#activity.at(place)
    const sample = index.sharesOf(this.#activityOf(past), itemId, occurredAtMs)
    return sample.row < 0 ? undefined : sample
  }

  #score(
    index: Blend,
    asked: readonly { readonly weights: BlendWeights; readonly board: ScoreBoard }[],
  ): void {
    const { testFrom, count, predictableCount } = this.split
    const every = Math.ceil(predictableCount / this.#options.predictionCountMax)
    const ahead = this.#readAhead(every)
    for (let place = testFrom; place < count; place++) {
      const doneCount = place - testFrom
      if (doneCount % progressEvery === 0) {
        this.#deps.progress?.('score', doneCount, count - testFrom)
      }
      const rest = ahead.get(this.#activity.personAt(place))
      const past = this.#pasts.get(this.#activity.personAt(place))
      if (rest !== undefined && past !== undefined && this.#isAsked(past, place)) {
        const query = this.#queryAt(past, place)
        const items = rest.places.slice(rest.at, rest.at + restCountMax)
        const restIds = items.map((each) => this.#activity.itemIdOf(this.#activity.itemAt(each)))
        for (const { weights, board } of asked) {
          board.observe(predict(this.#deps, index, { ...query, weights, rest: restIds }))
        }
      }
      if (rest !== undefined) rest.at += 1
      this.#remember(place)
      if (this.#options.isUpdated) index.learn(this.#activity.at(place))
    }
  }

  /** Returns of the people taken where they are met in the test. */
  #readAhead(every: number): ReadonlyMap<number, { readonly places: number[]; at: number }> {
    const ahead = new Map<number, { readonly places: number[]; at: number }>()
    for (let place = this.split.testFrom; place < this.split.count; place++) {
      const person = this.#activity.personAt(place)
      if (every > 1 && spread(person) % every !== 0) continue
      if (this.#options.unasked.has(person)) continue
      const known = ahead.get(person)
      if (known === undefined) ahead.set(person, { places: [place], at: 0 })
      else known.places.push(place)
    }
    return ahead
  }

  #queryAt(past: Past, place: number) {
    const activity = this.#activityOf(past)
    const { isNewOnly, isCurrentExcluded } = this.#options
    return {
      activity,
      nowMs: this.#activity.atMsAt(place),
      excludeItemIds: isNewOnly ? this.#metIn(past) : excludedOf(activity, isCurrentExcluded),
    }
  }

  #isAsked(past: Past, place: number): boolean {
    if (!this.#isOfKind(place)) return false
    if (!this.#options.isNewOnly) return true
    const first = this.#activity.itemAt(place) * kindCount
    return !interactionKinds.some((_, kind) => past.has(first + kind))
  }

  #isOfKind(place: number): boolean {
    const { only } = this.#options
    return only === undefined || interactionKinds[this.#activity.kindAt(place)] === only
  }

  #metIn(past: Past): ReadonlySet<string> {
    return new Set(
      [...past.keys()].map((key) => this.#activity.itemIdOf(Math.floor(key / kindCount))),
    )
  }

  #activityOf(past: Past): RecommendQuery['activity'] {
    const places = [...past.values()].slice(-activityCountMax)
    return places.map((place) => this.#activity.at(place))
  }

  #remember(place: number): void {
    const person = this.#activity.personAt(place)
    const key = this.#activity.itemAt(place) * kindCount + this.#activity.kindAt(place)
    let past = this.#pasts.get(person)
    if (past === undefined) {
      past = new Map()
      this.#pasts.set(person, past)
    }
    // What was done again is the newest.
    past.delete(key)
    past.set(key, place)
  }

  #countPredictable(testFrom: number): number {
    assert(this.#options.predictionCountMax >= 1, 'at least one prediction is made')
    const met = new Set<number>()
    let count = 0
    for (let place = 0; place < this.#activity.count; place++) {
      const person = this.#activity.personAt(place)
      if (this.#options.unasked.has(person)) continue
      if (place >= testFrom && met.has(person) && this.#isOfKind(place)) count += 1
      met.add(person)
    }
    return count
  }
}

/** Mixes a number, so that people are taken whatever the order they came in. */
function spread(number: number): number {
  const mixed = Math.imul(number + 1, 0x9e3779b1)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
