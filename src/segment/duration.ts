import { parseDurationMs } from '../lib/duration.ts'

/** The longest window a rule may name. Activity is retained for the longest window of all rules. */
export const windowMsMax = 3660 * 86_400_000

/** Returns the length of a window in milliseconds; undefined where it is none or out of bounds. */
export function parseWindowMs(input: unknown): number | undefined {
  const lengthMs = parseDurationMs(input)
  return lengthMs !== undefined && lengthMs >= 1000 && lengthMs <= windowMsMax
    ? lengthMs
    : undefined
}
