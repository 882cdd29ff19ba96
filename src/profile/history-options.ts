import type { OptionTable } from '../lib/option.ts'

/** The operator's options of the past of people; `config.ts` joins them with the others. */
export const historyTable = {
  'history.retentionDays': {
    kind: 'integer',
    default: 90,
    min: 0,
    max: 3_650,
    unit: 'days',
    says: 'How long the versions of each person can be told, at least; 0 for not at all.',
  },
} as const satisfies OptionTable
