/** One figure of a benchmark, as one JSON line on stdout. */
export interface Figure {
  readonly bench: string
  readonly value: number
  readonly unit: string
  /** The bare baseline of the same run, in the same unit. */
  readonly baseline?: number
  readonly note?: string
}

export function printFigure(figure: Figure): void {
  const { value, baseline } = figure
  const ratio = baseline === undefined ? undefined : round(value / baseline)
  const line = { ...figure, value: round(value), ...(ratio === undefined ? {} : { ratio }) }
  process.stdout.write(`${JSON.stringify(baseline === undefined ? line : { ...line, baseline: round(baseline) })}\n`)
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}

/** Returns the value below which `share` of the sorted samples lie (nearest rank). */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
}
