import type { Metric } from './metric.ts'

/**
 * Makes diversity over all answers: 1 - the Gini coefficient of how often each item was answered,
 * items that never were included. 1 = all alike, near 0 = a few items are answered to everybody.
 */
export function createDiversity(itemCount: number): Metric {
  const counts = new Map<string, number>()
  return {
    observe({ answer }) {
      for (const itemId of answer) counts.set(itemId, (counts.get(itemId) ?? 0) + 1)
    },
    value() {
      const all = Math.max(itemCount, counts.size)
      const sorted = Float64Array.from(counts.values()).sort()
      let sum = 0
      let weighted = 0
      for (const [index, count] of sorted.entries()) {
        sum += count
        weighted += (all - sorted.length + index + 1) * count
      }
      if (sum === 0) return 0
      return 1 - ((2 * weighted) / (all * sum) - (all + 1) / all)
    },
  }
}
