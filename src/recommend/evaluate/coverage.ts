import type { Metric } from './metric.ts'

/** Makes coverage: the share of the items trained on that were in any answer. */
export function createCoverage(itemCount: number): Metric {
  const answered = new Set<string>()
  return {
    observe({ answer }) {
      for (const itemId of answer) answered.add(itemId)
    },
    value: () => (itemCount === 0 ? 0 : Math.min(1, answered.size / itemCount)),
  }
}
