import { MeanMetric, type Metric } from './metric.ts'

/** Makes MRR: the mean of 1 / place of the next item, 0 where it is not in the answer. */
export function createReciprocalRank(): Metric {
  return new MeanMetric(({ rank }) => (rank > 0 ? 1 / rank : 0))
}
