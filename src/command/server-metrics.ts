/** Joins what the threads measure: the text of `/metrics` is made when somebody asks for it. */

import type { Clock } from '../lib/clock.ts'
import type { Metrics } from '../lib/metrics.ts'
import { readOwnMemory, type ThreadMemory } from '../lib/thread-memory.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogThread } from '../log/sqlite-log-thread.ts'
import { createOwnerMetrics } from '../monitor/owner-measures.ts'
import type { IntakeGate } from './intake-gate.ts'
import type { Owner } from './owner-thread.ts'

/** Returns the metrics with all threads' figures in their text. */
export function joinMetrics(
  metrics: Metrics,
  from: {
    readonly owner: Owner
    readonly log: EventLog
    readonly logThread: LogThread | undefined
    readonly gate: IntakeGate
    /** Absent where this process has no list of rejected events. */
    readonly readRejected: (() => Promise<void>) | undefined
  },
): Metrics {
  const { owner, log, gate } = from
  const addMeasures = createOwnerMetrics(metrics)
  const setMemory = createMemoryMetrics(metrics)
  const queueBytes = metrics.gauge('attune_log_queue_bytes')
  const lagRecords = metrics.gauge('attune_process_lag_records')
  const lagSeconds = metrics.gauge('attune_process_lag_seconds')
  const stopped = metrics.gauge('attune_process_stopped_partitions')
  const waiting = metrics.gauge('attune_delivery_queue_messages')
  const paused = metrics.gauge('attune_collect_paused')
  return {
    ...metrics,
    async render() {
      const [health, measures, memory, logMemory] = await Promise.all([
        owner.health(),
        owner.takeMeasures(),
        owner.readMemory(),
        from.logThread?.readMemory(),
      ])
      await from.readRejected?.()
      addMeasures(measures)
      setMemory([readOwnMemory('main'), ...memory, ...(logMemory ?? [])])
      queueBytes({}, log.queueBytes())
      lagRecords({}, health.ownedLagCount)
      lagSeconds({}, gate.lagMs() / 1000)
      stopped({}, health.partitions.stopped.length)
      waiting({}, health.messagesWaiting)
      paused({}, gate.intake().kind === 'open' ? 0 : 1)
      return await metrics.render()
    },
  }
}

/** Returns a function that shows what each thread holds; those of one name together. */
function createMemoryMetrics(metrics: Metrics): (memory: readonly ThreadMemory[]) => void {
  const heap = metrics.gauge('attune_thread_heap_bytes')
  const heapUsed = metrics.gauge('attune_thread_heap_used_bytes')
  const external = metrics.gauge('attune_thread_external_bytes')
  return (memory) => {
    for (const [thread, all] of Map.groupBy(memory, (each) => each.thread)) {
      heap({ thread }, sum(all, 'heapBytes'))
      heapUsed({ thread }, sum(all, 'heapUsedBytes'))
      external({ thread }, sum(all, 'externalBytes'))
    }
  }
}

function sum(
  memory: readonly ThreadMemory[],
  of: 'heapBytes' | 'heapUsedBytes' | 'externalBytes',
): number {
  return memory.reduce((total, each) => total + each[of], 0)
}

/** Measures each append of a log. */
export function measureLog(log: EventLog, metrics: Metrics, clock: Clock): EventLog {
  const seconds = metrics.histogram('attune_log_append_seconds')
  return {
    identity: log.identity,
    read: (partition, after, countMax) => log.read(partition, after, countMax),
    hasMore: (partition, after) => log.hasMore(partition, after),
    wait: (partitions, after, signal) => log.wait(partitions, after, signal),
    end: (partition) => log.end(partition),
    start: (partition) => log.start(partition),
    assign: (signal) => log.assign(signal),
    queueBytes: () => log.queueBytes(),
    noteFolded: (partition, offset) => log.noteFolded(partition, offset),
    close: () => log.close(),
    append(records) {
      const startedAt = clock.monotonicMs()
      return log.append(records).then((places) => {
        seconds({}, (clock.monotonicMs() - startedAt) / 1000)
        return places
      })
    },
  }
}
