/** All metrics of one algorithm, fed with the same predictions. */

import { createCoverage } from './coverage.ts'
import { createDiversity } from './diversity.ts'
import { createHitRate } from './hit-rate.ts'
import { Latency } from './latency.ts'
import type { Prediction } from './metric.ts'
import { createNdcg } from './ndcg.ts'
import { createPopularityBias } from './popularity-bias.ts'
import { createRecall } from './recall.ts'
import { createReciprocalRank } from './reciprocal-rank.ts'

export interface Figures {
  readonly predictions: number
  readonly hr20: number
  readonly mrr20: number
  readonly recall20: number
  readonly ndcg20: number
  readonly coverage: number
  readonly popularityBias: number
  readonly diversity: number
  readonly latencyUs: { readonly p50: number; readonly p99: number }
}

export class ScoreBoard {
  readonly #metrics
  readonly #latency = new Latency()
  #count = 0

  /** `frequencies` are of the items trained on. */
  constructor(frequencies: ReadonlyMap<string, number>) {
    this.#metrics = {
      hr20: createHitRate(),
      mrr20: createReciprocalRank(),
      recall20: createRecall(),
      ndcg20: createNdcg(),
      coverage: createCoverage(frequencies.size),
      popularityBias: createPopularityBias(frequencies),
      diversity: createDiversity(frequencies.size),
    }
  }

  observe(prediction: Prediction): void {
    for (const metric of Object.values(this.#metrics)) metric.observe(prediction)
    this.#latency.observe(prediction)
    this.#count += 1
  }

  figures(): Figures {
    const { hr20, mrr20, recall20, ndcg20, coverage, popularityBias, diversity } = this.#metrics
    return {
      predictions: this.#count,
      hr20: hr20.value(),
      mrr20: mrr20.value(),
      recall20: recall20.value(),
      ndcg20: ndcg20.value(),
      coverage: coverage.value(),
      popularityBias: popularityBias.value(),
      diversity: diversity.value(),
      latencyUs: { p50: this.#latency.quantileUs(0.5), p99: this.#latency.quantileUs(0.99) },
    }
  }
}
