const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const durationForm = /^(0|[1-9][0-9]{0,9})(ms|s|m|h|d)$/

/** Reads `250ms`, `5s`, `10m`, `4h`, `30d`; undefined for anything else. The result is whole ms. */
export function parseDurationMs(input: unknown): number | undefined {
  if (typeof input !== 'string') return undefined
  const match = durationForm.exec(input.trim())
  return match === null ? undefined : Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
}

/** Writes a length as the shortest exact form that `parseDurationMs` reads. */
export function formatDuration(lengthMs: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (lengthMs % unitMs[unit] === 0) return `${lengthMs / unitMs[unit]}${unit}`
  }
  return `${lengthMs}ms`
}
