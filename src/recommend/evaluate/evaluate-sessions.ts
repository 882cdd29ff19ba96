/**
 * Scores algorithms on sessions in time order: for every prefix of every test session the next item
 * is predicted among all items that were learned.
 *
 * Frozen: no test session is learned. Updated: a test session is learned after it was scored, never
 * before. Weights are fitted on the last tenth of the training sessions, by an index that has
 * learned the nine tenths before them alone.
 *
 * The sessions have no times: those of the training are spread evenly over `daysCovered`, with 30 s
 * between two interactions, and those of the test follow at the same pace. So nothing of the test
 * decides what is learned, not even how long it is.
 */

import type { AlgorithmName } from '../algorithm-names.ts'
import { type Blend, type BlendOptions, createBlend } from '../blend.ts'
import { type BlendWeights, defaultWeights, onlyWeights } from '../blend-weights.ts'
import type { RecommendQuery } from '../recommender.ts'
import { fitWeights, type WeightSample } from './fit-weights.ts'
import type { Session } from './parse-sessions.ts'
import {
  type EvaluateDeps,
  excludedOf,
  predict,
  progressEvery,
  sampleEvery,
  validationShare,
} from './predict.ts'
import { type Figures, ScoreBoard } from './score-board.ts'

export interface EvaluateOptions {
  /** Days that training is spread over. */
  readonly daysCovered: number
  readonly isUpdated: boolean
  readonly isCurrentExcluded: boolean
  /** Whether the blend's weights are fitted, or those shipped. */
  readonly isFitted: boolean
  /** Limits of the index; what is left out takes those of the server. */
  readonly blend: Partial<BlendOptions>
}

/** `blend`, or one algorithm alone. */
export type EvaluatedName = 'blend' | AlgorithmName

export interface Evaluation extends Figures {
  readonly algorithm: EvaluatedName
  /** Of the blend. */
  readonly weights?: BlendWeights
}

export interface SessionSet {
  readonly train: readonly Session[]
  readonly test: readonly Session[]
}

const dayMs = 86_400_000
const stepMs = 30_000

export class SessionEvaluator {
  readonly #deps: EvaluateDeps
  readonly #options: EvaluateOptions
  readonly #set: SessionSet
  readonly #sessionMs: number
  readonly #frequencies = new Map<string, number>()
  #weights: BlendWeights = defaultWeights
  /** The index after training, while it has learned nothing of the test. */
  #trained: Blend | undefined

  constructor(deps: EvaluateDeps, set: SessionSet, options: EvaluateOptions) {
    this.#deps = deps
    this.#options = options
    this.#set = set
    this.#sessionMs = (options.daysCovered * dayMs) / Math.max(1, set.train.length)
    for (const session of set.train) {
      for (const itemId of session) {
        this.#frequencies.set(itemId, (this.#frequencies.get(itemId) ?? 0) + 1)
      }
    }
  }

  evaluate(algorithm: EvaluatedName): Evaluation {
    const index = this.#train()
    const weights = algorithm === 'blend' ? this.#weights : onlyWeights(algorithm)
    const figures = this.#score(index, algorithm, weights)
    if (this.#options.isUpdated) this.#trained = undefined
    return algorithm === 'blend' ? { ...figures, weights } : figures
  }

  #train(): Blend {
    if (this.#trained !== undefined) return this.#trained
    const { train } = this.#set
    const index = createBlend(this.#options.blend)
    const isFitting = this.#options.isFitted && this.#weights === defaultWeights
    const cut = isFitting ? Math.floor(train.length * (1 - validationShare)) : train.length
    this.#learnAll(index, 0, cut)
    if (isFitting) this.#weights = this.#fit(index, cut)
    this.#learnAll(index, cut, train.length)
    this.#trained = index
    return index
  }

  #learnAll(index: Blend, from: number, to: number): void {
    for (let line = from; line < to; line++) {
      if (line % progressEvery === 0) this.#deps.progress?.('learn', line, this.#set.train.length)
      this.#learn(index, this.#set.train[line] ?? [], line)
    }
  }

  #learn(index: Blend, session: Session, line: number): void {
    const profileId = `session ${line}`
    for (const { itemId, kind, occurredAtMs } of this.#activityOf(session, line)) {
      index.learn({ profileId, itemId, kind, occurredAtMs })
    }
  }

  #fit(index: Blend, from: number): BlendWeights {
    const sessions = this.#set.train.slice(from)
    const count = sessions.reduce((sum, session) => sum + Math.max(0, session.length - 1), 0)
    const every = sampleEvery(count)
    const samples: WeightSample[] = []
    let met = 0
    for (const [offset, session] of sessions.entries()) {
      if (offset % progressEvery === 0) this.#deps.progress?.('fit', offset, sessions.length)
      const activity = this.#activityOf(session, from + offset)
      for (const [next, itemId] of session.entries()) {
        if (next === 0 || met++ % every !== 0) continue
        const nowMs = activity[next]?.occurredAtMs ?? 0
        const sample = index.sharesOf(activity.slice(0, next), itemId, nowMs)
        if (sample.row >= 0) samples.push(sample)
      }
    }
    return fitWeights(samples, defaultWeights)
  }

  #score(
    index: Blend,
    algorithm: EvaluatedName,
    weights: BlendWeights,
  ): Omit<Evaluation, 'weights'> {
    const board = new ScoreBoard(this.#frequencies)
    const { test, train } = this.#set
    for (const [line, session] of test.entries()) {
      if (line % progressEvery === 0) this.#deps.progress?.(algorithm, line, test.length)
      const activity = this.#activityOf(session, train.length + line)
      for (let next = 1; next < session.length; next++) {
        const past = activity.slice(0, next)
        const asked = {
          ...{ activity: past, weights, nowMs: activity[next]?.occurredAtMs ?? 0 },
          excludeItemIds: excludedOf(past, this.#options.isCurrentExcluded),
        }
        board.observe(predict(this.#deps, index, { ...asked, rest: session.slice(next) }))
      }
      if (this.#options.isUpdated) this.#learn(index, session, train.length + line)
    }
    return { algorithm, ...board.figures() }
  }

  #activityOf(session: Session, line: number): RecommendQuery['activity'] {
    const beganAtMs = line * this.#sessionMs
    return session.map((itemId, index) => ({
      itemId,
      kind: 'view',
      occurredAtMs: beganAtMs + index * stepMs,
    }))
  }
}
