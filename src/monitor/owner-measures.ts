/**
 * What the owner's thread measures of itself, in a form that crosses threads: the main thread asks
 * for it when somebody reads `/metrics`, and adds it to its own.
 *
 * The ports are wrapped, so the fold and delivery know nothing of it. Samples between two reads are
 * bounded: beyond the bound they are dropped, counters go on.
 */

import type { Mailer } from '../delivery/mailer.ts'
import type { Clock } from '../lib/clock.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { Published } from '../process/processor.ts'
import type { StateStore } from '../state/state-store.ts'
import { withCommit } from '../state/with-commit.ts'
import type { Renderer } from '../template/template.ts'

export interface OwnerMeasures {
  readonly recordCount: number
  readonly commitSeconds: readonly number[]
  /** How long the fold stood still for intake. */
  readonly yieldedSeconds: number
  readonly renderSeconds: readonly number[]
  /** From due to accepted by the provider. */
  readonly handOverSeconds: readonly number[]
  /** Attempts by result. */
  readonly results: Readonly<Record<string, number>>
  /** What the fold found wrong with the data, by kind. */
  readonly findings: Readonly<Record<string, number>>
}

export interface OwnerMeter {
  measureState(state: StateStore): StateStore
  measureRenderer(renderer: Renderer): Renderer
  measureMailer(mailer: Mailer): Mailer
  committed(published: Published): void
  /** Adds to how long the fold stood still for intake. */
  yielded(ms: number): void
  /** Returns what came since the last call. */
  take(): OwnerMeasures
}

const sampleCountMax = 10_000
const dueCountMax = 50_000

export function createOwnerMeter(clock: Clock): OwnerMeter {
  let measures = emptyMeasures()
  const offsets = new Map<number, number>()
  /** When each message became due, until it is handed over. */
  const dueAt = new Map<string, number>()
  const sample = (list: number[], seconds: number): void => {
    if (list.length < sampleCountMax) list.push(seconds)
  }
  const timed = async <Result>(list: number[], work: Promise<Result>): Promise<Result> => {
    const startedAt = clock.monotonicMs()
    const result = await work
    sample(list, (clock.monotonicMs() - startedAt) / 1000)
    return result
  }
  return {
    measureState: (state) =>
      withCommit(state, (commits) => timed(measures.commitSeconds, state.commit(commits))),
    measureRenderer: (renderer) => ({
      render: (input) => timed(measures.renderSeconds, renderer.render(input)),
      close: () => renderer.close(),
    }),
    measureMailer: (mailer) => ({
      close: () => mailer.close(),
      async handOver(request, signal) {
        const answer = await mailer.handOver(request, signal)
        measures.results[answer.kind] = (measures.results[answer.kind] ?? 0) + 1
        const due = dueAt.get(request.messageId)
        dueAt.delete(request.messageId)
        if (due !== undefined && answer.kind === 'accepted') {
          sample(measures.handOverSeconds, (clock.monotonicMs() - due) / 1000)
        }
        return answer
      },
    }),
    committed({ partition, offset, effects }) {
      measures.recordCount += offset - (offsets.get(partition) ?? offset)
      offsets.set(partition, offset)
      for (const effect of effects) {
        if (effect.kind === 'found') {
          measures.findings[effect.finding] = (measures.findings[effect.finding] ?? 0) + 1
        }
        if (effect.kind !== 'message-due' || dueAt.size >= dueCountMax) continue
        dueAt.set(effect.messageId, clock.monotonicMs())
      }
    },
    yielded(ms) {
      measures.yieldedSeconds += ms / 1000
    },
    take() {
      const taken = measures
      measures = emptyMeasures()
      return taken
    },
  }
}

interface Gathered {
  recordCount: number
  commitSeconds: number[]
  yieldedSeconds: number
  renderSeconds: number[]
  handOverSeconds: number[]
  results: Record<string, number>
  findings: Record<string, number>
}

function emptyMeasures(): Gathered {
  return {
    ...{
      recordCount: 0,
      yieldedSeconds: 0,
      commitSeconds: [],
      renderSeconds: [],
      handOverSeconds: [],
    },
    ...{ results: {}, findings: {} },
  }
}

/** Returns a function that adds what was measured to the metrics of the process. */
export function createOwnerMetrics(metrics: Metrics): (measures: OwnerMeasures) => void {
  const records = metrics.counter('attune_process_records_total')
  const yielded = metrics.counter('attune_process_yielded_seconds_total')
  const commit = metrics.histogram('attune_process_commit_seconds')
  const render = metrics.histogram('attune_template_render_seconds')
  const handOver = metrics.histogram('attune_delivery_handover_seconds')
  const results = metrics.counter('attune_delivery_messages_total')
  const findings = metrics.counter('attune_process_findings_total')
  return (measures) => {
    records({}, measures.recordCount)
    yielded({}, measures.yieldedSeconds)
    for (const seconds of measures.commitSeconds) commit({}, seconds)
    for (const seconds of measures.renderSeconds) render({}, seconds)
    for (const seconds of measures.handOverSeconds) handOver({}, seconds)
    for (const [result, count] of Object.entries(measures.results)) results({ result }, count)
    for (const [kind, count] of Object.entries(measures.findings)) findings({ kind }, count)
  }
}
