/**
 * Returns the value that a share of the samples does not exceed (nearest rank), to a tenth; 0 for
 * no samples.
 */
export function percentileOf(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((left, right) => left - right)
  const at = Math.max(0, Math.ceil(share * sorted.length) - 1)
  return Math.round((sorted[at] ?? 0) * 10) / 10
}
