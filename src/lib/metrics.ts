/**
 * Metrics for Prometheus, as a thin wrap of prom-client. Every metric is in `metricTable`, with its
 * kind, labels and meaning, so that a name is written once, a label cannot be forgotten, and the
 * reference page is printed from here.
 *
 * Labels have few values (a reason, a kind, a partition), never an id or an address: each value is
 * a series for ever.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { assert } from './assert.ts'

export interface MetricSpec {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly says: string
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[]
}

/** From half a millisecond to a minute. */
const secondsBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
] as const

export const metricTable = {
  attune_collect_events_total: {
    kind: 'counter',
    labels: ['outcome'],
    says: 'Events sent to the collector, by outcome: accepted, rejected, duplicate or dropped.',
  },
  attune_collect_rejected_total: {
    kind: 'counter',
    labels: ['reason'],
    says: 'Rejected events by reason. They are kept: see `attune rejected`.',
  },
  attune_collect_marked_total: {
    kind: 'counter',
    labels: ['source', 'event'],
    says: 'Events that their schema refuses and a lenient plan takes, by event of the plan.',
  },
  attune_collect_stamps_total: {
    kind: 'counter',
    labels: ['outcome'],
    says: 'Items in events: stamped from the catalog, unknown to it, or unread in time.',
  },
  attune_collect_refused_total: {
    kind: 'counter',
    labels: ['status', 'code'],
    says: 'Requests to the collector that were refused, by status and code; pixels show 200.',
  },
  attune_collect_paused: {
    kind: 'gauge',
    labels: [],
    says: '1 while intake is refused with 429 or 503 because a queue is full or the fold lags.',
  },
  attune_rejected_open_events: {
    kind: 'gauge',
    labels: ['reason'],
    says: 'Rejected events neither replayed nor dismissed. Each API process shows all: no sum.',
  },
  attune_rejected_oldest_seconds: {
    kind: 'gauge',
    labels: [],
    says: 'Age of the oldest of them at most, 0 if there is none.',
  },
  attune_log_append_seconds: {
    kind: 'histogram',
    labels: [],
    says: 'Time from append to durable. High: the disk is slow.',
    buckets: secondsBuckets,
  },
  attune_log_queue_bytes: { kind: 'gauge', labels: [], says: 'Bytes that wait to be appended.' },
  attune_process_records_total: {
    kind: 'counter',
    labels: [],
    says: 'Records folded and committed.',
  },
  attune_process_commit_seconds: {
    kind: 'histogram',
    labels: [],
    says: 'Time of one commit of state, offset and outbox.',
    buckets: secondsBuckets,
  },
  attune_process_lag_records: {
    kind: 'gauge',
    labels: [],
    says: 'Records between the end of the log and the commit, over all partitions.',
  },
  attune_process_lag_seconds: {
    kind: 'gauge',
    labels: [],
    says: 'Age of the oldest record that is not yet applied, 0 if there is none.',
  },
  attune_process_yielded_seconds_total: {
    kind: 'counter',
    labels: [],
    says: 'How long the fold stood still for intake: see `process.yieldLagMsMax`.',
  },
  attune_process_findings_total: {
    kind: 'counter',
    labels: ['kind'],
    says: 'What the fold found wrong with events that it applied: see `attune doctor`.',
  },
  attune_process_stopped_partitions: {
    kind: 'gauge',
    labels: [],
    says: 'Partitions that stopped at a record that breaks the fold. Above 0: act.',
  },
  attune_delivery_messages_total: {
    kind: 'counter',
    labels: ['result'],
    says: 'Attempts by result: accepted, deferred, failed, unknown, or refused at the last check.',
  },
  attune_delivery_queue_messages: {
    kind: 'gauge',
    labels: [],
    says: 'Messages that are due and not yet handed over.',
  },
  attune_delivery_handover_seconds: {
    kind: 'histogram',
    labels: [],
    says: 'Time from due to accepted by the provider.',
    buckets: secondsBuckets,
  },
  attune_template_render_seconds: {
    kind: 'histogram',
    labels: [],
    says: 'Time to render one message.',
    buckets: secondsBuckets,
  },
  attune_thread_heap_bytes: {
    kind: 'gauge',
    labels: ['thread'],
    says: 'Memory of the heaps of the threads of this name, with what is free in them.',
  },
  attune_thread_heap_used_bytes: {
    kind: 'gauge',
    labels: ['thread'],
    says: 'What is used of it, garbage included that was not collected yet.',
  },
  attune_thread_external_bytes: {
    kind: 'gauge',
    labels: ['thread'],
    says: "Arrays and buffers beside the heap; of `recommend` they are the index's arrays.",
  },
  attune_http_connections_refused_total: {
    kind: 'counter',
    labels: [],
    says: 'Connections closed at once: too many in all, or of one address.',
  },
  attune_http_malformed_total: {
    kind: 'counter',
    labels: ['status'],
    says: 'What came over a connection and was no HTTP request, or too slow to become one.',
  },
  attune_http_request_seconds: {
    kind: 'histogram',
    labels: ['route', 'status'],
    says: 'Time of an HTTP request by route pattern and status.',
    buckets: secondsBuckets,
  },
} as const satisfies Record<`attune_${string}`, MetricSpec>

type Table = typeof metricTable
type NameOf<K extends MetricSpec['kind']> = {
  [N in keyof Table]: Table[N]['kind'] extends K ? N : never
}[keyof Table]
type LabelsOf<N extends keyof Table> = Readonly<Record<Table[N]['labels'][number], string>>

export interface Metrics {
  /** Returns a function that adds to the series of `labels`; `by` is 1 if left out. */
  counter<N extends NameOf<'counter'>>(name: N): (labels: LabelsOf<N>, by?: number) => void
  /** Returns a function that sets the value of the series of `labels`. */
  gauge<N extends NameOf<'gauge'>>(name: N): (labels: LabelsOf<N>, value: number) => void
  /** Returns a function that puts one measured value into the series of `labels`. */
  histogram<N extends NameOf<'histogram'>>(name: N): (labels: LabelsOf<N>, value: number) => void
  /** Returns all in the text format of Prometheus. */
  render(): Promise<string>
  readonly contentType: string
}

export interface MetricsOptions {
  /**
   * Also collects memory, event loop delay and garbage collection of this process. One such in a
   * process is enough.
   */
  readonly hasProcessMetrics: boolean
}

/** Makes a registry in memory. Asking twice for one name gives the same metric. */
export function createMetrics(options: MetricsOptions = { hasProcessMetrics: false }): Metrics {
  const registry = new Registry()
  if (options.hasProcessMetrics) collectDefaultMetrics({ register: registry })
  const made = new Map<string, Counter | Gauge | Histogram>()

  const once = <M extends Counter | Gauge | Histogram>(name: string, make: () => M): M => {
    const known = made.get(name)
    // The type holds, since a name has one kind in the table.
    if (known !== undefined) return known as M
    const metric = make()
    made.set(name, metric)
    return metric
  }
  const settings = (name: keyof Table) => {
    const spec: MetricSpec = metricTable[name]
    return { name, help: spec.says, labelNames: [...spec.labels], registers: [registry] }
  }
  return {
    contentType: registry.contentType,
    counter(name) {
      const counter = once(name, () => new Counter(settings(name)))
      return (labels, by = 1) => {
        assert(by >= 0, 'a counter only grows')
        counter.inc(labels, by)
      }
    },
    gauge(name) {
      const gauge = once(name, () => new Gauge(settings(name)))
      return (labels, value) => gauge.set(labels, value)
    },
    histogram(name) {
      const buckets = [...metricTable[name].buckets]
      const histogram = once(name, () => new Histogram({ ...settings(name), buckets }))
      return (labels, value) => histogram.observe(labels, value)
    },
    render: () => registry.metrics(),
  }
}
