/** What became of a request, and what must hold for all of them together. */

import type { Outcome } from './bad-input.ts'
import type { WireAnswer } from './wire.ts'

export interface Tally {
  /** Events that answers called accepted, and rejected. */
  accepted: number
  rejected: number
  /** Answers that were problems of the collector, by `<status> <code>`. */
  readonly problems: Map<string, number>
  readonly outcomes: Map<Outcome, number>
  readonly violations: string[]
}

const violationCountMax = 20

export function createTally(): Tally {
  return { accepted: 0, rejected: 0, problems: new Map(), outcomes: new Map(), violations: [] }
}

/** Counts an answer; returns what became of the request. */
export function addAnswer(tally: Tally, answer: WireAnswer, says: string): Outcome {
  const outcome = outcomeOf(answer, tally)
  tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + 1)
  const { status, headers } = answer
  const violate = (what: string): void => {
    if (tally.violations.length < violationCountMax) tally.violations.push(`${says}: ${what}`)
  }
  if (status >= 500 && status !== 503) violate(`answered ${outcome}`)
  if ((status === 503 || status === 429) && !/^\d+$/.test(headers.get('retry-after') ?? '')) {
    violate(`answered ${status} without Retry-After`)
  }
  if (status === 0) violate('no answer')
  return outcome
}

function outcomeOf({ status, headers, body }: WireAnswer, tally: Tally): Outcome {
  if (status === 0) return 'closed'
  const type = headers.get('content-type') ?? ''
  if (type.startsWith('application/problem+json')) {
    const { code } = JSON.parse(body) as { readonly code: string }
    const problem = `${status} ${code}`
    tally.problems.set(problem, (tally.problems.get(problem) ?? 0) + 1)
    return problem
  }
  if (status !== 200 || !type.startsWith('application/json')) return String(status)
  const taken = JSON.parse(body) as {
    readonly accepted?: number
    readonly rejected?: number
    /** Of an answer of the API. */
    readonly learnedCount?: number
    readonly results?: readonly { readonly status: string; readonly reason?: string }[]
  }
  if (taken.learnedCount !== undefined) return String(status)
  const { accepted = 0, rejected = 0, results = [] } = taken
  tally.accepted += accepted
  tally.rejected += rejected
  if (accepted > 0 && rejected > 0) return `mixed ${accepted}/${rejected}`
  const reason = results.find((each) => each.reason !== undefined)?.reason
  return rejected > 0 ? `rejected ${reason ?? ''}` : 'accepted'
}

/** Returns the series of a counter in the text of /metrics, by their labels as written. */
export function seriesOf(metrics: string, name: string): ReadonlyMap<string, number> {
  const pattern = new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, 'gm')
  return new Map(
    [...metrics.matchAll(pattern)].map(([, labels = '', value]) => [labels, Number(value)]),
  )
}

/** Codes of the API, which answers on the same port. */
const apiCodes = new Set([
  ...['not-found', 'invalid', 'key-missing', 'key-unknown', 'profile-id-invalid'],
  ...['recommender-unknown', 'INDEX_SILENT'],
])

/** Returns where the server's own counters differ from what the answers said. */
export function compareCounters(tally: Tally, metrics: string): readonly string[] {
  const faults: string[] = []
  const compare = (answered: number, counted: number, what: string): void => {
    if (answered !== counted) faults.push(`${answered} were answered ${what}, ${counted} counted`)
  }
  compare(tally.accepted, countOf(metrics, 'attune_collect_events_total', 'accepted'), 'accepted')
  const refused = seriesOf(metrics, 'attune_collect_refused_total')
  for (const [problem, count] of tally.problems) {
    const [status = '', code = ''] = problem.split(' ')
    if (apiCodes.has(code)) continue
    compare(count, refused.get(`status="${status}",code="${code}"`) ?? 0, problem)
  }
  return faults
}

/** Returns the value of the series of a counter that has one label. */
export function countOf(metrics: string, name: string, label: string): number {
  const series = [...seriesOf(metrics, name)]
  return series.find(([labels]) => labels.includes(`"${label}"`))?.[1] ?? 0
}
