/**
 * The log in a SQLite file, as one thread of the process sees it.
 *
 * `append` encodes on the calling thread, into one buffer that is handed to the writer's thread
 * without a copy. Calls of one turn of the event loop travel together, unless they are many: then
 * the first are under way while the thread takes the next, and answers that have come meanwhile are
 * taken before the turn is over. Reading goes straight to the file, over a connection of this
 * thread; who reads on where it has read before gets the newest records from shared memory. A
 * waiting reader raises a flag there, and the writer tells it when records came.
 */

import type { DatabaseSync } from 'node:sqlite'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { assignAll } from './assign-all.ts'
import type { EventLog, LogIdentity, Place } from './event-log.ts'
import { decodeRecord, type LogRecord, type NewRecord } from './record.ts'
import { crcBytes, LogFileReader, type LogStream, openLogFile } from './sqlite-log-file.ts'
import { FrameBuffer } from './sqlite-log-frames.ts'
import { type FromWriter, SharedBlock, type ToWriter } from './sqlite-log-protocol.ts'
import { LogTailReader } from './sqlite-log-tail.ts'

export interface SqliteEventLogOptions {
  readonly dataDir: string
  readonly stream: LogStream
  /** From `LogThread.connect`, for this log alone; closed with it. */
  readonly port: MessagePort
}

interface Call {
  /** Of its records, in their order. */
  readonly partitions: readonly number[]
  resolve(places: readonly Place[]): void
  reject(error: Error): void
}

/**
 * Bytes of one message; some batches of a hundred events. Fewer would make commits small, and each
 * commit writes the last page of every partition again.
 */
const sendBytesHigh = 1024 * 1024

/** Opens the log for a thread of the server. Rejects if the writer refuses or has ended. */
export async function openSqliteEventLog(options: SqliteEventLogOptions): Promise<EventLog> {
  const db = openLogFile(options.dataDir, options.stream, true)
  try {
    const { port, stream } = options
    const welcome = Promise.withResolvers<Extract<FromWriter, { readonly kind: 'welcome' }>>()
    const onClose = (): void => welcome.reject(writerEnded())
    port.on('close', onClose)
    port.once('message', (message: FromWriter) => {
      if (message.kind === 'welcome') welcome.resolve(message)
      else if (message.kind === 'unwelcome') {
        welcome.reject(new OperatingError(message.code, message.says))
      }
    })
    port.postMessage({ kind: 'hello', stream } satisfies ToWriter)
    const { buffer, client, identity, queueBytesHigh, tail } = await welcome.promise
    port.off('close', onClose)
    const shared = new SharedBlock(identity.partitionCount, buffer)
    return new SqliteEventLog(db, { port, stream, shared, client, queueBytesHigh, tail })
  } catch (error) {
    db.close()
    throw error
  }
}

class SqliteEventLog implements EventLog {
  readonly identity: LogIdentity
  readonly #db: DatabaseSync
  readonly #reader: LogFileReader
  readonly #port: MessagePort
  readonly #stream: LogStream
  readonly #shared: SharedBlock
  readonly #client: number
  readonly #queueBytesHigh: number
  readonly #tail: SharedArrayBuffer | undefined
  /** Made for the first who reads on where it has read before. */
  #tailReader: LogTailReader | undefined
  /** The last offset that was read, by partition. */
  readonly #lastRead = new Map<number, number>()
  /** Calls of this turn of the event loop, not sent yet. */
  #unsent: Call[] = []
  /** The frames of these calls. */
  readonly #frames = new FrameBuffer()
  /** Calls by the number of the message they went with. */
  readonly #sent = new Map<number, readonly Call[]>()
  /** Called at each `grown`. */
  readonly #waiters = new Set<() => void>()
  #messageCount = 0
  /** Of the answers that were looked for within a turn. */
  #answerCount = 0
  /** Set when the writer ended or this log was closed; no more appends then. */
  #ended: OperatingError | undefined
  #isPortClosed = false
  #isClosed = false
  /** Set by `close` while calls are in hand. */
  #onDrained: (() => void) | undefined

  constructor(
    db: DatabaseSync,
    link: {
      readonly port: MessagePort
      readonly stream: LogStream
      readonly shared: SharedBlock
      readonly client: number
      readonly queueBytesHigh: number
      readonly tail: SharedArrayBuffer | undefined
    },
  ) {
    this.#db = db
    this.#reader = new LogFileReader(db)
    this.identity = this.#reader.identity
    this.#port = link.port
    this.#stream = link.stream
    this.#shared = link.shared
    this.#client = link.client
    this.#queueBytesHigh = link.queueBytesHigh
    this.#tail = link.tail
    this.#port.on('message', (message: FromWriter) => this.#take(message))
    this.#port.on('close', () => this.#endPort())
    this.#port.unref()
  }

  append(records: readonly NewRecord[]): Promise<readonly Place[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended
      if (records.length === 0) {
        resolve([])
        return
      }
      const partitions = this.#write(records)
      if (this.#unsent.length === 0) setImmediate(() => this.#send())
      this.#unsent.push({ partitions, resolve, reject })
      if (this.#frames.length >= sendBytesHigh) this.#send()
      this.#takeAnswers()
    })
  }

  /**
   * A turn that takes many requests is long, and what it holds for those that are durable by now is
   * in the way of the collector of garbage: so they are answered within it.
   */
  #takeAnswers(): void {
    const answerCount = this.#shared.answerCount(this.#client)
    if (answerCount === this.#answerCount) return
    this.#answerCount = answerCount
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      this.#take(got.message as FromWriter)
    }
  }

  /** Writes all of them or, where it throws, none. */
  #write(records: readonly NewRecord[]): readonly number[] {
    const { partitionCount } = this.identity
    const before = this.#frames.length
    const partitions: number[] = []
    try {
      for (const record of records) {
        const { partition } = record
        assert(
          Number.isInteger(partition) && partition >= 0 && partition < partitionCount,
          'a partition is one of the log',
        )
        this.#frames.add(record)
        partitions.push(partition)
      }
      if (!this.#shared.takeRoom(this.#frames.length - before, this.#queueBytesHigh)) {
        throw new OperatingError('LOG_OVERLOADED', `append ${records.length} records`)
      }
    } catch (error) {
      this.#frames.cut(before)
      throw error
    }
    return partitions
  }

  async read(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]> {
    // The end in shared memory is that of a commit: nothing lies behind it yet, and a reader at the
    // end asks often.
    if (after === this.#shared.end(this.#stream, partition)) return []
    const newest = this.#readTail(partition, after, countMax)
    const records = newest.length > 0 ? newest : this.#reader.read(partition, after, countMax)
    this.#lastRead.set(partition, records.at(-1)?.offset ?? after)
    return records
  }

  /** Who jumps is served by the file alone: what lies there may have been trimmed. */
  #readTail(partition: number, after: number, countMax: number): readonly LogRecord[] {
    if (this.#tail === undefined || this.#lastRead.get(partition) !== after) return []
    this.#tailReader ??= new LogTailReader(this.#tail, this.identity.partitionCount)
    const found = this.#tailReader.read(partition, after, countMax)
    return found.map((stored, index) =>
      decodeRecord(partition, after + index + 1, stored.subarray(crcBytes)),
    )
  }

  hasMore(partition: number, after: number): boolean {
    return this.#shared.end(this.#stream, partition) > after
  }

  wait(
    partitions: readonly number[],
    after: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    const isThere = (): boolean =>
      partitions.some((partition, index) => this.hasMore(partition, after[index] ?? 0))
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(look)
        signal.removeEventListener('abort', finish)
        this.#holdOpen()
        resolve()
      }
      const look = (): void => {
        // The flag goes up before the look: records that come between the two still send a message.
        this.#shared.raiseFlag(this.#client)
        if (isThere() || signal.aborted) finish()
      }
      this.#waiters.add(look)
      this.#holdOpen()
      signal.addEventListener('abort', finish, { once: true })
      look()
    })
  }

  async end(partition: number): Promise<number> {
    assert(
      partition >= 0 && partition < this.identity.partitionCount,
      'a partition is one of the log',
    )
    return this.#shared.end(this.#stream, partition)
  }

  async start(partition: number): Promise<number> {
    return this.#reader.start(partition)
  }

  assign(signal: AbortSignal): AsyncIterable<readonly number[]> {
    return assignAll(this.identity.partitionCount, signal)
  }

  /** Those of all logs of this process, since they share one writer. */
  queueBytes(): number {
    return this.#shared.queueBytes
  }

  noteFolded(): void {}

  /** Resolves when all calls in hand are answered. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ended ??= new OperatingError('STORE_IO', 'use a log that is closed')
    this.#send()
    if (this.#sent.size > 0) {
      const drained = Promise.withResolvers<void>()
      this.#onDrained = drained.resolve
      await drained.promise
    }
    this.#port.close()
    this.#db.close()
  }

  #send(): void {
    const calls = this.#unsent
    this.#unsent = []
    if (calls.length === 0) return
    const frames = this.#frames.take()
    const call = ++this.#messageCount
    this.#sent.set(call, calls)
    this.#holdOpen()
    const count = calls.reduce((sum, { partitions }) => sum + partitions.length, 0)
    const message: ToWriter = { kind: 'append', call, frames, count }
    this.#port.postMessage(message, [frames])
    if (this.#isPortClosed) this.#endPort()
  }

  #take(message: FromWriter): void {
    if (message.kind === 'grown') {
      for (const look of [...this.#waiters]) look()
      return
    }
    assert(message.kind === 'placed' || message.kind === 'refused', 'the writer answers calls')
    const calls = this.#sent.get(message.call) ?? []
    this.#sent.delete(message.call)
    if (message.kind === 'placed') placeCalls(calls, message.offsets)
    else {
      for (const call of calls) call.reject(new OperatingError(message.code, message.says))
    }
    this.#holdOpen()
    if (this.#sent.size === 0) this.#onDrained?.()
  }

  #endPort(): void {
    this.#isPortClosed = true
    this.#ended ??= writerEnded()
    const calls = [...[...this.#sent.values()].flat(), ...this.#unsent]
    this.#sent.clear()
    this.#unsent = []
    this.#frames.cut(0)
    for (const call of calls) call.reject(this.#ended)
    this.#onDrained?.()
  }

  /** Keeps the thread alive while somebody waits for the writer, and no longer. */
  #holdOpen(): void {
    if (this.#sent.size > 0 || this.#waiters.size > 0) this.#port.ref()
    else this.#port.unref()
  }
}

function placeCalls(calls: readonly Call[], offsets: Float64Array): void {
  let at = 0
  for (const call of calls) {
    const { partitions } = call
    const from = at
    call.resolve(
      partitions.map((partition, index) => ({ partition, offset: offsets[from + index] ?? 0 })),
    )
    at += partitions.length
  }
  assert(at === offsets.length, 'the writer places each record')
}

function writerEnded(): OperatingError {
  return new OperatingError('STORE_IO', 'reach the thread that writes the log')
}
