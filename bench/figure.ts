import { loadavg } from 'node:os'

/** One figure of a benchmark, as one JSON line on stdout. */
export interface Figure {
  readonly bench: string
  readonly value: number
  readonly unit: string
  /** The bare baseline of the same run, in the same unit. */
  readonly baseline?: number
  readonly note?: string
}

/** Prints the figure with its ratio, and how busy the machine was: others may work on it. */
export function printFigure(figure: Figure): void {
  const { bench, value, unit, baseline, note } = figure
  const line = {
    bench,
    value: round(value),
    unit,
    ...(baseline === undefined
      ? {}
      : { baseline: round(baseline), ratio: round(value / baseline) }),
    ...(note === undefined ? {} : { note }),
    loadAverage: round(loadavg()[0] ?? 0),
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}

/** Returns the value below which `share` of the samples lie (nearest rank). */
export function percentile(samples: Iterable<number>, share: number): number {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
}

export function mean(samples: readonly number[]): number {
  return samples.reduce((sum, each) => sum + each, 0) / Math.max(1, samples.length)
}
