import type { Metric } from './metric.ts'

/**
 * Makes popularity bias: how often the items answered were met in training, on average, over how
 * often an item was met on average. 1 = no bias; 10 = ten times as popular as the catalog.
 */
export function createPopularityBias(frequencies: ReadonlyMap<string, number>): Metric {
  let total = 0
  for (const frequency of frequencies.values()) total += frequency
  const usual = frequencies.size === 0 ? 1 : total / frequencies.size
  let sum = 0
  let count = 0
  return {
    observe({ answer }) {
      for (const itemId of answer) sum += frequencies.get(itemId) ?? 0
      count += answer.length
    },
    value: () => (count === 0 ? 0 : sum / count / usual),
  }
}
