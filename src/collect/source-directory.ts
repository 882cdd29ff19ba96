/**
 * The sources known now, by write key and by id. Definitions change while the server runs:
 * `replace` swaps all.
 */

import type { Source } from '../event/source.ts'
import type { TrackingPlan } from '../event/tracking-plan.ts'
import { assert } from '../lib/assert.ts'

export interface CollectSource {
  readonly source: Source
  readonly plan?: TrackingPlan
}

export interface SourceDirectory {
  byWriteKey(writeKey: string): CollectSource | undefined
  byId(sourceId: string): CollectSource | undefined
  replace(sources: readonly CollectSource[]): void
}

/**
 * Definitions must have been checked: a write key or name that two sources share is a bug of the
 * caller.
 */
export function createSourceDirectory(sources: readonly CollectSource[]): SourceDirectory {
  let keyed = new Map<string, CollectSource>()
  let named = new Map<string, CollectSource>()
  const replace = (next: readonly CollectSource[]): void => {
    const pairs = next.flatMap((each) => each.source.writeKeys.map((key) => [key, each] as const))
    const keyedNext = new Map(pairs)
    const namedNext = new Map(next.map((each) => [each.source.sourceId, each]))
    assert(keyedNext.size === pairs.length, 'a write key belongs to one source')
    assert(namedNext.size === next.length, 'a source has a name of its own')
    keyed = keyedNext
    named = namedNext
  }
  replace(sources)
  return {
    byWriteKey: (writeKey) => keyed.get(writeKey),
    byId: (sourceId) => named.get(sourceId),
    replace,
  }
}
