/**
 * The writing side of both logs, in a thread of its own.
 *
 * What waits is committed as one group: the more arrives during a commit, the more the next one
 * holds. Order of effects: insert, COMMIT (which syncs the disk), keep the newest in memory, set
 * the ends, wake the readers, answer the callers. An answer before the commit would acknowledge
 * what a power cut takes back.
 *
 * A full disk takes back the group and refuses its callers; the next group tries again. Any other
 * failure is for
 * good: after a failed sync nobody knows what the disk holds, so nothing more is written.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { MessagePort } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { createFailpoint, type Failpoint } from '../lib/failpoint.ts'
import { writeHashedId } from './record.ts'
import { inTransaction } from './sqlite-file.ts'
import {
  crcBytes,
  LogFileReader,
  type LogStream,
  logStreams,
  openLogFile,
} from './sqlite-log-file.ts'
import {
  type AppendMessage,
  clientCountMax,
  type FromWriter,
  frameHeadBytes,
  SharedBlock,
  type ToWriter,
} from './sqlite-log-protocol.ts'
import { createTailBuffer, LogTailWriter } from './sqlite-log-tail.ts'

export interface LogWriterOptions {
  readonly dataDir: string
  readonly queueBytesHigh: number
  /** Only in tests: what goes wrong, set from outside while the thread runs; see `LogFaults`. */
  readonly faults?: SharedArrayBuffer
  /** Only in tests, see `lib/failpoint.ts`. */
  readonly failpoint?: string | undefined
}

/** Places in `faults`, an Int32Array. */
export const LogFaults = { stallMs: 0, failCommit: 1, isDiskFull: 2, count: 3 } as const

interface Client {
  /** Its place among the flags of the shared block. */
  readonly index: number
  readonly port: MessagePort
  readonly stream: LogStream
}

interface WaitingAppend {
  readonly client: Client
  readonly message: AppendMessage
}

/** Bytes of one commit; a longer one would make those behind it wait too long. */
const commitBytesMax = 8 * 1024 * 1024

export class LogWriter {
  readonly shared: SharedBlock
  readonly #options: LogWriterOptions
  readonly #onFailed: (error: OperatingError) => void
  readonly #files: Record<LogStream, LogFileWriter>
  readonly #clients: (Client | undefined)[] = []
  /** Of the stream `events`, which the fold follows. */
  readonly #tailBuffer = createTailBuffer()
  readonly #tail = new LogTailWriter(this.#tailBuffer)
  #queue: WaitingAppend[] = []
  #isScheduled = false
  /** Set by the first failure that is not a full disk; true for good. */
  #failure: OperatingError | undefined

  constructor(options: LogWriterOptions, onFailed: (error: OperatingError) => void) {
    this.#options = options
    this.#onFailed = onFailed
    const faults = options.faults && new Int32Array(options.faults)
    const failpoint = createFailpoint(options.failpoint)
    const openWriter = (stream: LogStream): LogFileWriter =>
      new LogFileWriter(openLogFile(options.dataDir, stream, false), { faults, failpoint })
    this.#files = { events: openWriter('events'), rejected: openWriter('rejected') }
    const identity = this.#files.events.identity
    const other = this.#files.rejected.identity
    if (
      identity.incarnation !== other.incarnation ||
      identity.partitionCount !== other.partitionCount
    ) {
      throw new OperatingError('LOG_MISMATCH', `open both logs in ${options.dataDir}`)
    }
    this.shared = new SharedBlock(identity.partitionCount)
    for (const stream of logStreams) {
      this.#files[stream].ends.forEach((end, partition) => {
        this.shared.setEnd(stream, partition, end)
      })
    }
  }

  get partitionCount(): number {
    return this.#files.events.identity.partitionCount
  }

  connect(port: MessagePort): void {
    let client: Client | undefined
    port.on('message', (message: ToWriter) => {
      if (message.kind === 'hello') {
        client = this.#welcome(port, message.stream)
        return
      }
      assert(client, 'a client says hello before it appends')
      this.#enqueue({ client, message })
    })
    port.on('close', () => {
      if (client) this.#clients[client.index] = undefined
    })
  }

  /** Commits what waits and closes the files. */
  close(): void {
    while (this.#queue.length > 0) this.#commitGroup()
    for (const stream of logStreams) this.#files[stream].close()
    for (const client of this.#clients) client?.port.close()
  }

  #welcome(port: MessagePort, stream: LogStream): Client | undefined {
    let index = 0
    while (this.#clients[index] !== undefined) index++
    if (index >= clientCountMax) {
      const says = `open the log for client ${index}`
      port.postMessage({ kind: 'unwelcome', code: 'LOG_OVERLOADED', says } satisfies FromWriter)
      return undefined
    }
    const client: Client = { index, port, stream }
    this.#clients[index] = client
    this.shared.clearAnswers(index)
    port.postMessage({
      kind: 'welcome',
      buffer: this.shared.buffer,
      client: index,
      identity: this.#files[stream].identity,
      queueBytesHigh: this.#options.queueBytesHigh,
      tail: stream === 'events' ? this.#tailBuffer : undefined,
    } satisfies FromWriter)
    return client
  }

  #enqueue(append: WaitingAppend): void {
    this.#queue.push(append)
    this.#schedule()
  }

  /** The commit waits for all messages that are already here, so that they go into one group. */
  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#commitGroup()
      this.#schedule()
    })
  }

  #commitGroup(): void {
    let count = 0
    let bytes = 0
    while (count < this.#queue.length && (count === 0 || bytes < commitBytesMax)) {
      bytes += this.#queue[count]?.message.frames.byteLength ?? 0
      count++
    }
    const group = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    for (const stream of logStreams) {
      const appends = group.filter(({ client }) => client.stream === stream)
      if (appends.length > 0) this.#commitTo(stream, appends)
    }
  }

  #commitTo(stream: LogStream, appends: readonly WaitingAppend[]): void {
    let placed: readonly Float64Array[]
    this.shared.turnCommit()
    try {
      if (this.#failure) throw this.#failure
      placed = this.#files[stream].append(appends.map(({ message }) => message))
    } catch (error) {
      const failure = toFailure(stream, error)
      this.#giveRoom(appends)
      for (const append of appends) this.#refuse(append, failure)
      if (failure.code !== 'DISK_FULL') this.#fail(failure)
      return
    } finally {
      this.shared.turnCommit()
    }
    // Before the ends: who sees an end finds the record.
    if (stream === 'events') this.#keepTail(appends, placed)
    this.#files[stream].ends.forEach((end, partition) => {
      this.shared.setEnd(stream, partition, end)
    })
    this.#wake(stream)
    this.#giveRoom(appends)
    for (const [index, { client, message }] of appends.entries()) {
      const offsets = placed[index] ?? new Float64Array()
      const answer: FromWriter = { kind: 'placed', call: message.call, offsets }
      client.port.postMessage(answer, [offsets.buffer as ArrayBuffer])
      this.shared.countAnswer(client.index)
    }
  }

  #keepTail(appends: readonly WaitingAppend[], placed: readonly Float64Array[]): void {
    for (const [index, { message }] of appends.entries()) {
      const frames = Buffer.from(message.frames)
      let at = 0
      for (const offset of placed[index] ?? []) {
        const storedAt = at + frameHeadBytes
        const end = storedAt + frames.readUInt32BE(at + 4)
        this.#tail.add(frames.readUInt32BE(at), offset, frames.subarray(storedAt, end))
        at = end + frames.readUInt32BE(at + 8)
      }
    }
  }

  /** Before the answers, so that who waits for one finds the room. */
  #giveRoom(appends: readonly WaitingAppend[]): void {
    for (const { message } of appends) this.shared.giveRoom(message.frames.byteLength)
  }

  #wake(stream: LogStream): void {
    for (const client of this.#clients) {
      if (client?.stream === stream && this.shared.lowerFlag(client.index)) {
        client.port.postMessage({ kind: 'grown' } satisfies FromWriter)
      }
    }
  }

  #refuse({ client, message }: WaitingAppend, error: OperatingError): void {
    const refusal: FromWriter = {
      kind: 'refused',
      call: message.call,
      code: error.code,
      says: error.message,
    }
    client.port.postMessage(refusal)
  }

  #fail(error: OperatingError): void {
    if (this.#failure) return
    this.#failure = error
    this.#onFailed(error)
  }
}

/** Writes one log file. `ends` is what is committed. */
class LogFileWriter {
  readonly identity: LogFileReader['identity']
  ends: number[]
  readonly #db: DatabaseSync
  readonly #faults: Int32Array | undefined
  readonly #failpoint: Failpoint
  readonly #inserts: StatementSync[]

  constructor(
    db: DatabaseSync,
    tests: { readonly faults: Int32Array | undefined; readonly failpoint: Failpoint },
  ) {
    this.#db = db
    this.#faults = tests.faults
    this.#failpoint = tests.failpoint
    const reader = new LogFileReader(db)
    this.identity = reader.identity
    const partitions = Array.from({ length: this.identity.partitionCount }, (_, index) => index)
    this.ends = partitions.map((partition) => reader.end(partition))
    this.#inserts = partitions.map((partition) =>
      db.prepare(`INSERT INTO record_${partition} VALUES (?, ?)`),
    )
  }

  /**
   * Commits all messages at once. Returns the offsets of each; throws and changes nothing if it
   * cannot.
   */
  append(messages: readonly AppendMessage[]): readonly Float64Array[] {
    const ends = [...this.ends]
    this.#setDiskFault()
    const placed = inTransaction(this.#db, 'append to the log', () => {
      const all = messages.map((message) => this.#insertFrames(message, ends))
      this.#causeFaults()
      this.#failpoint('log-before-commit')
      return all
    })
    this.#failpoint('log-after-commit')
    this.ends = ends
    return placed
  }

  close(): void {
    this.#db.close()
  }

  #insertFrames(message: AppendMessage, ends: number[]): Float64Array {
    const frames = Buffer.from(message.frames)
    const offsets = new Float64Array(message.count)
    let at = 0
    for (let index = 0; index < message.count; index++) {
      const partition = frames.readUInt32BE(at)
      const storedAt = at + frameHeadBytes
      const end = storedAt + frames.readUInt32BE(at + 4)
      const offset = (ends[partition] ?? 0) + 1
      const next = end + frames.readUInt32BE(at + 8)
      const recordAt = storedAt + crcBytes
      if (next > end) writeHashedId(frames.subarray(end, next), frames, recordAt)
      frames.writeUInt32BE(crc32(frames.subarray(recordAt, end)), storedAt)
      this.#inserts[partition]?.run(offset, frames.subarray(storedAt, end))
      ends[partition] = offset
      offsets[index] = offset
      at = next
    }
    assert(at === frames.length, 'a message holds as many records as it says')
    return offsets
  }

  #setDiskFault(): void {
    if (!this.#faults) return
    const isFull = Atomics.load(this.#faults, LogFaults.isDiskFull) === 1
    this.#db.exec(`PRAGMA max_page_count = ${isFull ? 1 : 2 ** 32 - 2}`)
  }

  #causeFaults(): void {
    if (!this.#faults) return
    const stallMs = Atomics.load(this.#faults, LogFaults.stallMs)
    if (stallMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs)
    if (Atomics.load(this.#faults, LogFaults.failCommit) === 1) {
      throw new OperatingError('STORE_IO', 'append to the log, with a fault asked for')
    }
  }
}

function toFailure(stream: LogStream, error: unknown): OperatingError {
  if (error instanceof OperatingError) return error
  return new OperatingError('STORE_IO', `append to ${stream}`, error)
}
