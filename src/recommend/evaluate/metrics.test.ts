/** Each metric on cases worked out by hand. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCoverage } from './coverage.ts'
import { createDiversity } from './diversity.ts'
import { createHitRate } from './hit-rate.ts'
import { Latency } from './latency.ts'
import type { Metric, Prediction } from './metric.ts'
import { createNdcg } from './ndcg.ts'
import { createPopularityBias } from './popularity-bias.ts'
import { createRecall } from './recall.ts'
import { createReciprocalRank } from './reciprocal-rank.ts'

const first = predict('abcd', 'bd')
const second = predict('abcd', 'x')

describe('metrics', () => {
  it('give 0 where nothing was observed', () => {
    for (const metric of allMetrics()) assert.equal(metric.value(), 0)
  })

  it('HR counts the next item alone', () => {
    assert.equal(valueAfter(createHitRate(), [first, second]), 0.5)
    assert.equal(valueAfter(createHitRate(), [predict('abcd', 'xa')]), 0)
    assert.equal(valueAfter(createHitRate(), [predict('abcd', 'a')]), 1, 'at the first place')
  })

  it('MRR is the mean of 1 / place', () => {
    assert.equal(valueAfter(createReciprocalRank(), [first, second]), 0.25)
  })

  it('recall is the share of the different items of the rest', () => {
    assert.equal(valueAfter(createRecall(), [predict('abcd', 'bdbx')]), 0.6667)
    assert.equal(valueAfter(createRecall(), [predict('abcd', '')]), 0, 'nothing is left')
  })

  it('NDCG counts each place less than that before, over the best possible', () => {
    // (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)).
    assert.equal(valueAfter(createNdcg(), [first]), 0.6509)
    assert.equal(valueAfter(createNdcg(), [predict('bd', 'bd')]), 1)
  })

  it('coverage is the share of the items that were in any answer', () => {
    assert.equal(valueAfter(createCoverage(8), [first, predict('ae', 'e')]), 0.625)
    assert.equal(valueAfter(createCoverage(0), [first]), 0)
  })

  it('popularity bias is over the usual frequency of an item', () => {
    const frequencies = new Map([...'abcd'].map((itemId, at) => [itemId, [6, 2, 0, 0][at] ?? 0]))
    assert.equal(valueAfter(createPopularityBias(frequencies), [predict('ab', 'a')]), 2)
    assert.equal(valueAfter(createPopularityBias(frequencies), [predict('zz', 'a')]), 0)
  })

  it('diversity is 1 where all items are answered alike, little where one is', () => {
    assert.equal(valueAfter(createDiversity(4), [first]), 1)
    // Gini of 0, 0, 0, 2 is 3/4.
    assert.equal(valueAfter(createDiversity(4), [predict('a', 'a'), predict('a', 'a')]), 0.25)
  })

  it('latencies are by nearest rank, and bounded', () => {
    const latency = new Latency()
    assert.equal(latency.quantileUs(0.99), 0)
    for (const latencyUs of [10, 20.4, 30, 1e9]) latency.observe({ latencyUs })
    assert.deepEqual(
      [0.5, 0.75, 0.99].map((share) => latency.quantileUs(share)),
      [20, 30, 65_535],
    )
  })
})

function allMetrics(): readonly Metric[] {
  return [
    ...[createHitRate(), createReciprocalRank(), createRecall(), createNdcg()],
    ...[createCoverage(5), createPopularityBias(new Map()), createDiversity(5)],
  ]
}

function predict(answer: string, rest: string): Prediction {
  return {
    answer: [...answer],
    rank: answer.indexOf(rest[0] ?? '') + 1,
    rest: [...rest],
    latencyUs: 1,
  }
}

function valueAfter(metric: Metric, predictions: readonly Prediction[]): number {
  for (const prediction of predictions) metric.observe(prediction)
  return Math.round(metric.value() * 10_000) / 10_000
}
