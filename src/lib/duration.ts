const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Reads `250ms`, `5s`, `10m`, `4h`, `30d`; undefined for anything else. The result is whole ms. */
export function parseDurationMs(input: unknown): number | undefined {
  if (typeof input !== 'string') return undefined
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(input.trim())
  const unit = unitMs[match?.[2] ?? '']
  return match && unit !== undefined ? Number(match[1]) * unit : undefined
}
