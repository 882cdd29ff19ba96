/** What a metric is told, and gives. One file each; all look at the same predictions. */

/** Items that an answer has at most; the `20` of `hr20`. */
export const answerCountMax = 20

/** One answer, beside what the session went on with. */
export interface Prediction {
  /** The items answered, best first, at most `answerCountMax`. */
  readonly answer: readonly string[]
  /** Place of the next item in the answer, from 1; 0 where it is not in it. */
  readonly rank: number
  /** All that the session has behind the query, the next item first. */
  readonly rest: readonly string[]
  readonly latencyUs: number
}

export interface Metric {
  observe(prediction: Prediction): void
  /** Returns the figure over all that was observed; 0 where there was nothing. */
  value(): number
}

/** A mean over predictions. */
export class MeanMetric implements Metric {
  readonly #amountOf: (prediction: Prediction) => number
  #sum = 0
  #count = 0

  constructor(amountOf: (prediction: Prediction) => number) {
    this.#amountOf = amountOf
  }

  observe(prediction: Prediction): void {
    this.#sum += this.#amountOf(prediction)
    this.#count += 1
  }

  value(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }
}
