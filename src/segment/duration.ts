/** The longest window a rule may name. Activity is retained for the longest window of all rules. */
export const windowMsMax = 3660 * 86_400_000

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const durationForm = /^([1-9][0-9]{0,9})([smhd])$/

/**
 * Returns the length of `10s`, `5m`, `4h` or `30d` in milliseconds; undefined for anything else.
 */
export function parseDurationMs(input: unknown): number | undefined {
  if (typeof input !== 'string') return undefined
  const match = durationForm.exec(input)
  if (match === null) return undefined
  const lengthMs = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
  return lengthMs <= windowMsMax ? lengthMs : undefined
}

/** Writes a length as the shortest exact form that `parseDurationMs` reads. */
export function formatDuration(lengthMs: number): string {
  for (const unit of ['d', 'h', 'm'] as const) {
    if (lengthMs % unitMs[unit] === 0) return `${lengthMs / unitMs[unit]}${unit}`
  }
  return `${lengthMs / unitMs.s}s`
}
