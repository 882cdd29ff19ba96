import { OperatingError } from '../lib/errors.ts'

/** Returns an error as an operator should read it: what was attempted, why, what to do. */
export function describeError(error: unknown): string {
  if (!(error instanceof OperatingError)) {
    return `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`
  }
  const cause = error.cause instanceof Error ? `\n  because: ${error.cause.message}` : ''
  return `attune: ${error.code}: ${error.message}${cause}\n  what to do: ${error.remedy}\n`
}
