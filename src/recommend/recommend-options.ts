import type { OptionTable } from '../lib/option.ts'

/** The operator's options of recommendations; `config.ts` joins them with the others. */
export const recommendTable = {
  'recommend.eventCountMax': {
    kind: 'integer',
    default: 5_000_000,
    min: 1_000,
    max: 100_000_000,
    says: 'Newest events that the recommendation index holds.',
  },
  'recommend.snapshotEveryCount': {
    kind: 'integer',
    default: 1_000_000,
    min: 0,
    max: 1_000_000_000,
    says: 'Interactions learned between two snapshots of the recommendation index; 0 for none.',
  },
} as const satisfies OptionTable
