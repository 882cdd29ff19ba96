import { MeanMetric, type Metric } from './metric.ts'

/** Makes recall: the mean share of the different items of the rest that are in the answer. */
export function createRecall(): Metric {
  return new MeanMetric(({ answer, rest }) => {
    const wanted = new Set(rest)
    if (wanted.size === 0) return 0
    return answer.filter((itemId) => wanted.has(itemId)).length / wanted.size
  })
}
