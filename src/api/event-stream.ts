/**
 * The newest records of both logs, as they come, for pages and commands that watch.
 *
 * One reader serves all clients, and reads only while there are any. It shows, it does not deliver:
 * where more comes than can be shown, older records are passed over, and a client that does not
 * read fast enough misses some. Both are told as `missed` with a count. Nothing waits for a client,
 * and what waits for it is bounded.
 */

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogRecord } from '../log/record.ts'

/** A record as it is shown. */
export interface ShownRecord {
  readonly partition: number
  readonly offset: number
  /** The record's kind; `rejected` for an event of the `rejected` log. */
  readonly kind: string
  /**
   * Of an event its name, of a result or an outcome what it says; of a rejected event its source.
   */
  readonly name: string
  readonly key: string
  readonly at: string
  readonly messageId?: string
  /** Of an event: the source that sent it, and whether it is of the past. */
  readonly source?: string
  readonly isBackfill?: boolean
  /** Of a membership, whose `name` is the segment: `entered` or `left`. */
  readonly change?: string
  /** Why it was rejected, and where. */
  readonly reason?: string
  readonly path?: string
}

export interface StreamClient {
  /** Takes a record; answers false where there is no room for it. */
  take(text: string): boolean
  accepts(kind: string): boolean
}

export interface EventStream {
  /** Begins to show records to `client`; the returned function ends it. */
  add(client: StreamClient): () => void
  readonly clientCount: number
  close(): void
}

export interface EventStreamDeps {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly clock: Clock
  readonly logger: Logger
}

export interface EventStreamOptions {
  readonly pauseMs: number
  /** Records of one partition shown at a time. */
  readonly countMax: number
}

const quietMsMax = 15_000
const retryMs = 1_000

interface Watcher {
  readonly client: StreamClient
  missedCount: number
}

export function createEventStream(deps: EventStreamDeps, options: EventStreamOptions): EventStream {
  const watchers = new Set<Watcher>()
  let reading: AbortController | undefined
  const show = (records: readonly ShownRecord[], passedOverCount: number): void => {
    for (const watcher of watchers) {
      watcher.missedCount += passedOverCount
      tell(watcher, records)
    }
  }
  const start = (): void => {
    const controller = new AbortController()
    reading = controller
    for (const [log, describe] of [
      [deps.log, showRecord],
      [deps.rejected, showRejected],
    ] as const) {
      void followLog(deps, options, { log, describe, show }, controller.signal)
    }
    void keepAlive(deps.clock, watchers, controller.signal)
  }
  const stop = (): void => {
    reading?.abort()
    reading = undefined
  }
  return {
    add(client) {
      const watcher: Watcher = { client, missedCount: 0 }
      watchers.add(watcher)
      if (reading === undefined) start()
      return () => {
        watchers.delete(watcher)
        if (watchers.size === 0) stop()
      }
    },
    get clientCount() {
      return watchers.size
    },
    close: stop,
  }
}

function tell(watcher: Watcher, records: readonly ShownRecord[]): void {
  const { client } = watcher
  for (const record of records) {
    if (!client.accepts(record.kind)) continue
    if (watcher.missedCount > 0) {
      const text = `event: missed\ndata: ${JSON.stringify({ count: watcher.missedCount })}\n\n`
      if (!client.take(text)) {
        watcher.missedCount++
        continue
      }
      watcher.missedCount = 0
    }
    const isOfRejected = record.kind === 'rejected' || record.kind === 'resolution'
    const id = `${isOfRejected ? 'r' : 'e'}${record.partition}-${record.offset}`
    const text = `id: ${id}\nevent: record\ndata: ${JSON.stringify(record)}\n\n`
    if (!client.take(text)) watcher.missedCount++
  }
}

/**
 * A comment line now and then, so that nothing between us and the client takes the stream for dead.
 */
async function keepAlive(
  clock: Clock,
  watchers: ReadonlySet<Watcher>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(quietMsMax, signal)
    if (signal.aborted) return
    for (const { client } of watchers) client.take(': still here\n\n')
  }
}

interface Follow {
  readonly log: EventLog
  describe(record: LogRecord): ShownRecord
  show(records: readonly ShownRecord[], passedOverCount: number): void
}

/** Runs until `signal` aborts, from the ends of the partitions on. A failing log is tried again. */
async function followLog(
  deps: EventStreamDeps,
  options: EventStreamOptions,
  follow: Follow,
  signal: AbortSignal,
): Promise<void> {
  const { log } = follow
  const partitions = Array.from({ length: log.identity.partitionCount }, (_, index) => index)
  while (!signal.aborted) {
    try {
      const after = await Promise.all(partitions.map((partition) => log.end(partition)))
      for (;;) {
        await log.wait(partitions, after, signal)
        if (signal.aborted) return
        for (const partition of partitions) {
          await showPartition(follow, after, partition, options.countMax)
        }
        await deps.clock.sleep(options.pauseMs, signal)
      }
    } catch (error) {
      deps.logger.warn({ error: String(error) }, 'the event stream cannot read; trying again')
      await deps.clock.sleep(retryMs, signal)
    }
  }
}

/**
 * Shows the newest records behind `after`, and moves it. Offsets may have gaps, so the count is a
 * bound.
 */
async function showPartition(
  { log, describe, show }: Follow,
  after: number[],
  partition: number,
  countMax: number,
): Promise<void> {
  const from = after[partition] ?? 0
  const end = await log.end(partition)
  if (end <= from) return
  const passedOverCount = Math.max(0, end - from - countMax)
  const records = await log.read(partition, from + passedOverCount, countMax)
  const last = records.at(-1)
  // A log elsewhere may bring them a moment later.
  if (last === undefined) return
  after[partition] = last.offset
  show(records.map(describe), passedOverCount)
}

function showRecord(record: LogRecord): ShownRecord {
  const { partition, offset, kind, key, recordedAtMs } = record
  const skeleton = (record.skeleton ?? {}) as Readonly<Record<string, unknown>>
  const name = [skeleton['name'], skeleton['result'], skeleton['outcome'], skeleton['topic']].find(
    (value) => typeof value === 'string',
  )
  const messageId = skeleton['messageId']
  return {
    partition,
    offset,
    kind,
    name: typeof name === 'string' ? name : '',
    key,
    at: new Date(recordedAtMs).toISOString(),
    ...(typeof messageId === 'string' ? { messageId } : {}),
    ...(kind === 'event' ? { source: String(skeleton['sourceId'] ?? '') } : {}),
    ...(record.isBackfill ? { isBackfill: true } : {}),
    ...(kind === 'membership' ? { change: String(skeleton['change']) } : {}),
  }
}

/** The body is not shown: it was refused, and may hold what nobody should see. */
function showRejected(record: LogRecord): ShownRecord {
  const { partition, offset, key, recordedAtMs } = record
  const skeleton = (record.skeleton ?? {}) as Readonly<Record<string, unknown>>
  const at = new Date(recordedAtMs).toISOString()
  if (record.kind === 'resolution') {
    return { partition, offset, kind: record.kind, name: String(skeleton['outcome']), key, at }
  }
  return {
    partition,
    offset,
    kind: 'rejected',
    name: String(skeleton['sourceId'] ?? ''),
    key,
    at,
    reason: String(skeleton['reason'] ?? ''),
    path: String(skeleton['path'] ?? ''),
  }
}
