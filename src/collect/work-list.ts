/**
 * Rejected events as a list of work: see what is wrong, try a repair, replay, dismiss.
 *
 * Guarantee: a replayed event is applied once, however often it is replayed and wherever the
 * process dies. Order of effects of a replay, page by page: append the events to `events`, then the
 * resolutions to `rejected`. Killed in between, the next replay appends the same events with the
 * same ids, which the fold drops as repeats within its horizon.
 *
 * `tryRepair` writes nothing. What a replay cannot take stays open, and the resolution `failed`
 * only says that it was tried.
 */

import type { Repair } from '../event/repair.ts'
import type { NewRecord } from '../log/record.ts'
import { type Change, diffDocuments } from './document-diff.ts'
import {
  type JudgedRejected,
  type Judgement,
  type JudgeRejectedDeps,
  judgeRejected,
  textOfRejected,
} from './judge-rejected.ts'
import { readById, readOpen, type Selection } from './read-open.ts'
import type { RejectedGroup, RejectedIndex } from './rejected-index.ts'
import {
  type GroupName,
  type RejectedRecord,
  type RejectedSkeleton,
  type ResolutionOutcome,
  resolutionRecord,
  whyNotRepairable,
} from './rejected-record.ts'

export interface RejectedList {
  /** By source, reason, path, event. */
  readonly groups: readonly RejectedGroup[]
  readonly openCount: number
  /** Events in no group of their own, since there are too many. */
  readonly otherCount: number
  /** Absent where nothing is open. */
  readonly oldestMs?: number
}

/** One rejected record, for showing. */
export interface ShownRejected extends GroupName {
  readonly id: string
  /** JSON pointer to the fault. */
  readonly at: string
  readonly form: RejectedSkeleton['form']
  readonly receivedAtMs: number
  readonly isOpen: boolean
  readonly isCut: boolean
  readonly isBackfill: boolean
  readonly type?: string
  readonly sentAtMs?: number
  readonly encoding?: string
  readonly whyNotRepairable?: string
  /** The bytes as they came, in base64. */
  readonly bytes: string
  /** The same, inflated, as text; absent where it is none. */
  readonly text?: string
  readonly format?: string
  /** What text of another format was translated to. */
  readonly translatedText?: string
  /** Context that was added to that of the event: of its batch, and the client's address. */
  readonly contextText?: string
}

export interface FailureCount {
  readonly reason: string
  readonly path: string
  readonly says: string
  readonly count: number
}

interface Counts {
  acceptedCount: number
  droppedCount: number
  failedCount: number
  notRepairableCount: number
  readonly failures: Map<string, FailureCount>
}

export interface Outcomes extends Omit<Counts, 'failures'> {
  /** Why some failed, at most `failureCountMax` kinds. */
  readonly failures: readonly FailureCount[]
}

export interface Example {
  readonly id: string
  readonly outcome: Judgement['kind']
  readonly says?: string
  readonly changes: readonly Change[]
}

export interface Trial extends Outcomes {
  readonly sampleCount: number
  readonly examples: readonly Example[]
}

export interface Replay extends Outcomes {
  /** Events appended: a request may hold several. */
  readonly eventCount: number
  /** Where to go on; absent at the end. */
  readonly cursor?: string
}

export interface Dismissal {
  readonly dismissedCount: number
  readonly cursor?: string
}

export interface PageLimits {
  readonly countMax: number
  readonly cursor?: string | undefined
}

export interface WorkList {
  list(): Promise<RejectedList>
  find(id: string): Promise<ShownRejected | undefined>
  tryRepair(
    selection: Selection,
    repair: Repair | undefined,
    limits: { readonly sampleCount: number; readonly exampleCount: number },
  ): Promise<Trial>
  replay(
    selection: Selection,
    repair: Repair | undefined,
    options: PageLimits & { readonly isLive: boolean },
  ): Promise<Replay>
  dismiss(selection: Selection, options: PageLimits & { readonly says: string }): Promise<Dismissal>
}

export interface WorkListDeps extends JudgeRejectedDeps {
  readonly index: RejectedIndex
}

const failureCountMax = 20
const textLengthMax = 64 * 1024
const turnCount = 10

interface Judged extends JudgedRejected {
  readonly record: RejectedRecord
}

export function createWorkList(deps: WorkListDeps): WorkList {
  const { index, collector, options, inflatedBytesMax } = deps
  const { rejected } = collector
  const place = { rejected, index, clock: collector.clock, workspace: options.workspace }
  const page = async (selection: Selection, limits: PageLimits) => {
    await index.catchUp()
    return await readOpen(place, selection, limits)
  }
  return {
    async list() {
      await index.catchUp()
      const { openCount, otherCount, oldestMs } = index.totals()
      const counts = { openCount, otherCount, ...(oldestMs === undefined ? {} : { oldestMs }) }
      return { groups: index.groups(), ...counts }
    },
    async find(id) {
      await index.catchUp()
      const record = await readById(collector, id)
      if (record === undefined) return undefined
      const isOpen = index.isOpen(record.partition, record.offset)
      return showRecord(record, isOpen, await textOfRejected(record, inflatedBytesMax))
    },
    async tryRepair(selection, repair, { sampleCount, exampleCount }) {
      const { records } = await page(selection, { countMax: sampleCount })
      const judged = await judgeAllOf(records, deps, { repair, isLive: false })
      const examples = judged.slice(0, exampleCount).map(exampleOf)
      return { sampleCount: records.length, ...outcomesOf(judged), examples }
    },
    async replay(selection, repair, { isLive, ...limits }) {
      const { records, cursor } = await page(selection, limits)
      const judged = await judgeAllOf(records, deps, { repair, isLive })
      const events = judged.flatMap(({ judgement }) =>
        judgement.kind === 'accepted' ? judgement.events : [],
      )
      if (events.length > 0) await collector.log.append(events)
      const resolutions = [
        ...resolve(judged, 'accepted', 'replayed', deps),
        ...resolve(judged, 'dropped', 'dismissed', deps),
        ...resolve(judged, 'refused', 'failed', deps),
      ]
      if (resolutions.length > 0) await rejected.append(resolutions)
      const ends = { ...outcomesOf(judged), eventCount: events.length }
      return cursor === undefined ? ends : { ...ends, cursor }
    },
    async dismiss(selection, { says, ...limits }) {
      const { records, cursor } = await page(selection, limits)
      const resolutions = resolutionsOf(records, { outcome: 'dismissed', says }, deps)
      if (resolutions.length > 0) await rejected.append(resolutions)
      const dismissedCount = records.length
      return cursor === undefined ? { dismissedCount } : { dismissedCount, cursor }
    },
  }
}

async function judgeAllOf(
  records: readonly RejectedRecord[],
  deps: JudgeRejectedDeps,
  given: { readonly repair: Repair | undefined; readonly isLive: boolean },
): Promise<readonly Judged[]> {
  const judged: Judged[] = []
  for (const record of records) {
    judged.push({ record, ...(await judgeRejected(record, deps, given)) })
    // Other requests get their turn.
    if (judged.length % turnCount === 0) await deps.collector.clock.sleep(0)
  }
  return judged
}

function resolve(
  judged: readonly Judged[],
  kind: Judgement['kind'],
  outcome: ResolutionOutcome,
  deps: WorkListDeps,
): readonly NewRecord[] {
  const those = judged.filter(({ judgement }) => judgement.kind === kind)
  const says = outcome === 'dismissed' ? { says: 'dropped by a repair' } : {}
  return resolutionsOf(
    those.map(({ record }) => record),
    { outcome, ...says },
    deps,
  )
}

/** Returns one resolution for each source. */
function resolutionsOf(
  records: readonly RejectedRecord[],
  given: { readonly outcome: ResolutionOutcome; readonly says?: string },
  { collector, options }: WorkListDeps,
): readonly NewRecord[] {
  const deps = {
    rejected: collector.rejected,
    random: collector.random,
    nowMs: collector.clock.nowMs(),
  }
  const bySource = Map.groupBy(records, ({ group }) => group.source)
  return [...bySource].map(([sourceId, ofSource]) => {
    const byGroup = Map.groupBy(ofSource, ({ group }) => JSON.stringify(group))
    const groups = [...byGroup.values()].flatMap(([first, ...others]) =>
      first === undefined
        ? []
        : [{ ...first.group, offsets: [first, ...others].map(({ offset }) => offset) }],
    )
    return resolutionRecord({ sourceId, ...given, groups }, deps, options.workspace)
  })
}

function outcomesOf(judged: readonly Judged[]): Outcomes {
  const counts: Counts = {
    ...{ acceptedCount: 0, droppedCount: 0, failedCount: 0, notRepairableCount: 0 },
    failures: new Map(),
  }
  for (const { judgement } of judged) {
    if (judgement.kind === 'accepted') counts.acceptedCount++
    else if (judgement.kind === 'dropped') counts.droppedCount++
    else if (judgement.kind === 'not-repairable') {
      counts.notRepairableCount++
      countFailure(counts, { reason: 'not-repairable', path: '', says: judgement.says })
    } else {
      counts.failedCount++
      const { reason, path, says } = judgement
      countFailure(counts, { reason, path: path.replaceAll(/\/\d+(?=\/|$)/g, '/*'), says })
    }
  }
  return { ...counts, failures: [...counts.failures.values()] }
}

function countFailure({ failures }: Counts, failure: Omit<FailureCount, 'count'>): void {
  const key = [failure.reason, failure.path, failure.says].join('\0')
  const count = failures.get(key)?.count ?? 0
  if (count > 0 || failures.size < failureCountMax) {
    failures.set(key, { ...failure, count: count + 1 })
  }
}

function exampleOf({ record, judgement, before, after }: Judged): Example {
  const says =
    judgement.kind === 'refused'
      ? `${judgement.reason} at ${judgement.path || '/'}: ${judgement.says}`
      : judgement.kind === 'not-repairable'
        ? judgement.says
        : undefined
  return {
    id: record.id,
    outcome: judgement.kind,
    ...(says === undefined ? {} : { says }),
    changes: after === undefined ? [] : diffDocuments(before, after),
  }
}

function showRecord(
  record: RejectedRecord,
  isOpen: boolean,
  text: string | undefined,
): ShownRejected {
  const { id, group, skeleton, isBackfill, bytes, translated, context } = record
  const { path, form, receivedAtMs, isCut, type, sentAtMs, encoding, format } = skeleton
  const why = whyNotRepairable(skeleton)
  return {
    id,
    ...group,
    ...{ at: path, form, receivedAtMs, isOpen, isCut: isCut === true, isBackfill },
    ...(type === undefined ? {} : { type }),
    ...(sentAtMs === undefined ? {} : { sentAtMs }),
    ...(encoding === undefined ? {} : { encoding }),
    ...(format === undefined ? {} : { format }),
    ...(why === undefined ? {} : { whyNotRepairable: why }),
    bytes: Buffer.from(bytes).toString('base64'),
    ...(text === undefined ? {} : { text: text.slice(0, textLengthMax) }),
    ...(translated.length === 0 ? {} : { translatedText: Buffer.from(translated).toString() }),
    ...(context.length === 0 ? {} : { contextText: Buffer.from(context).toString() }),
  }
}
