import { MeanMetric, type Metric } from './metric.ts'

/** Makes HR: the share of predictions whose next item is in the answer. */
export function createHitRate(): Metric {
  return new MeanMetric(({ rank }) => (rank > 0 ? 1 : 0))
}
