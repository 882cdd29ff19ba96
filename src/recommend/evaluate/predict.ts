/** What the evaluations on sessions and on people have in common: how a prediction is made. */

import type { Blend } from '../blend.ts'
import type { RecommendQuery } from '../recommender.ts'
import { answerCountMax, type Prediction } from './metric.ts'

export interface EvaluateDeps {
  /** For latencies. */
  monotonicMs(): number
  /** Told now and then; `doneCount` of `allCount` of the step named. */
  progress?(step: string, doneCount: number, allCount: number): void
}

/** The newest part of what is learned, that weights are fitted to. */
export const validationShare = 0.1
/** Steps between two words of progress. */
export const progressEvery = 500

/** Predictions that weights are fitted to; of more, every so-manieth. */
const sampleCountMax = 12_000
const nothing: ReadonlySet<string> = new Set()

/** Returns the distance between two predictions that weights are fitted to, of so many. */
export function sampleEvery(count: number): number {
  return Math.max(1, Math.ceil(count / sampleCountMax))
}

/** Returns what is never answered: the item that the activity ends with, or nothing. */
export function excludedOf(
  activity: RecommendQuery['activity'],
  isCurrentExcluded: boolean,
): ReadonlySet<string> {
  const current = activity.at(-1)
  return isCurrentExcluded && current !== undefined ? new Set([current.itemId]) : nothing
}

/** Asks for what comes next, and tells what was answered beside what came: `rest`. */
export function predict(
  { monotonicMs }: Pick<EvaluateDeps, 'monotonicMs'>,
  index: Blend,
  { rest, ...query }: Omit<RecommendQuery, 'countMax' | 'isAllowed'> & Pick<Prediction, 'rest'>,
): Prediction {
  const startedAtMs = monotonicMs()
  const recommendations = index.recommend({
    ...query,
    countMax: answerCountMax,
    isAllowed: () => true,
  })
  const latencyUs = (monotonicMs() - startedAtMs) * 1000
  const answer = recommendations.map(({ itemId }) => itemId)
  return { answer, rank: answer.indexOf(rest[0] ?? '') + 1, rest, latencyUs }
}
