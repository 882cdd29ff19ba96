/** Log lines are events with fields; names come from the glossary. Fields hold no personal data. */
export interface Logger {
  info(fields: Record<string, unknown>, event: string): void
  warn(fields: Record<string, unknown>, event: string): void
  error(fields: Record<string, unknown>, event: string): void
}

export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {} }
