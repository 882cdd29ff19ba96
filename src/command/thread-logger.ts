/** Log lines of a thread, written by the main thread. */

import type { Logger } from '../lib/logger.ts'
import type { PortCaller } from '../lib/port-call.ts'

export interface ThreadLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly fields: Record<string, unknown>
  readonly event: string
}

export function createThreadLogger(main: PortCaller): Logger {
  const say =
    (level: ThreadLine['level']) =>
    (fields: Record<string, unknown>, event: string): void =>
      main.tell('log', { level, fields, event } satisfies ThreadLine)
  return { info: say('info'), warn: say('warn'), error: say('error') }
}
