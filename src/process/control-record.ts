import type { Random } from '../lib/random.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'

type Given = Pick<NewRecord, 'partition' | 'kind' | 'skeleton' | 'recordedAtMs'> &
  Partial<Pick<NewRecord, 'body'>>

/** Returns a record to a partition itself: of no person, item or address. */
export function controlRecord({ random }: { readonly random: Random }, given: Given): NewRecord {
  return {
    key: `control:${given.partition}`,
    id: random.bytes(16),
    isBackfill: false,
    keyId: 0,
    body: emptyBody,
    ...given,
  }
}
