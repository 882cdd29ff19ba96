import type { CollectSource } from '../collect/source-directory.ts'
import { parseSource } from '../event/source.ts'
import { createTrackingPlan } from '../event/tracking-plan.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Json } from '../lib/json.ts'

/** Makes the collector's sources from definitions that were checked when they were applied. */
export function collectSourcesOf(sources: readonly Json[]): readonly CollectSource[] {
  return sources.map((input) => {
    const parsed = parseSource(input)
    if (parsed.kind === 'refused') {
      throw new OperatingError('DEFINITIONS_INVALID', `read a source: ${faultsOf(parsed.faults)}`)
    }
    const { source } = parsed
    if (source.trackingPlan === undefined) return { source }
    const created = createTrackingPlan(source.trackingPlan)
    if (created.kind === 'refused') {
      throw new OperatingError('DEFINITIONS_INVALID', `read a plan: ${faultsOf(created.faults)}`)
    }
    return { source, plan: created.plan }
  })
}

function faultsOf(faults: readonly { readonly path: string; readonly says: string }[]): string {
  return faults.map(({ path, says }) => `${path} ${says}`).join('; ')
}
