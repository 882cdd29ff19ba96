/** Whether a source may send now, and what counts once it did; the same for every format. */

import { clientAddressOf } from './client-address.ts'
import { isOriginAllowed, type Problem } from './collect-answer.ts'
import type { CollectAnswer } from './collect-batch.ts'
import { originProblem, rateProblem } from './collect-problem.ts'
import type { Exchange } from './exchange.ts'
import type { CollectCall } from './read-request.ts'
import type { CollectSource } from './source-directory.ts'

/** Returns why the source may not send this request, or nothing. */
export function findBarrier(
  { deps, request }: Exchange,
  found: CollectSource,
): Problem | undefined {
  if (!isOriginAllowed(request, found.source)) return originProblem
  const waitMs = deps.rates.waitMs(found)
  return waitMs === 0 ? undefined : rateProblem(waitMs)
}

/** Collects for a source, and counts the events against its rate. */
export function collectFrom(
  { deps, request }: Exchange,
  found: CollectSource,
  call: CollectCall,
): Promise<CollectAnswer> {
  const clientIp =
    found.source.keepIp === true ? clientAddressOf(request, deps.isTrustedProxy) : undefined
  const whole = clientIp === undefined ? call : { ...call, clientIp }
  return deps.collector.collect(found.source.sourceId, whole).then((answer) => {
    const count = answer.kind === 'taken' ? answer.acceptedCount + answer.rejectedCount : 1
    deps.rates.take(found, count)
    return answer
  })
}
