import { answerCountMax, MeanMetric, type Metric } from './metric.ts'

/**
 * Makes NDCG: each item of the rest counts 1 / log2(place + 1), over the best that was possible
 * (Jarvelin and Kekalainen 2002).
 */
export function createNdcg(): Metric {
  return new MeanMetric(({ answer, rest }) => {
    const wanted = new Set(rest)
    let gain = 0
    for (const [index, itemId] of answer.entries()) if (wanted.has(itemId)) gain += gainAt(index)
    let best = 0
    for (let index = 0; index < Math.min(wanted.size, answerCountMax); index++) {
      best += gainAt(index)
    }
    return best === 0 ? 0 : gain / best
  })
}

function gainAt(index: number): number {
  return 1 / Math.log2(index + 2)
}
