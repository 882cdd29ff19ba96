import type { OptionTable } from '../lib/option.ts'

/** The operator's options of rendering; `config.ts` joins them with the others. */
export const renderTable = {
  'render.threadCount': {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 64,
    says: 'Threads that render messages.',
  },
  'render.hardMs': {
    kind: 'durationMs',
    default: 2_000,
    min: 10,
    max: 60_000,
    says:
      'CPU time for one message after which a rendering thread is killed and replaced; as is one ' +
      'that stands still at a message for 30 times as long by the clock.',
  },
} as const satisfies OptionTable
