/**
 * The partitioned log: the durable, ordered record of all that was accepted.
 *
 * Contract, checked for every adapter by `event-log.contract.ts`:
 * - `append` resolves only when the records would survive a crash of this machine, with their
 *   places in the order given; when it rejects, the records may or may not be there, and the caller
 *   may append them again;
 * - records of one key keep their append order, within a call and between calls that follow each
 *   other; records of one partition keep theirs within a call;
 * - offsets increase within a partition, start above 0, and may have gaps; a log may not be able
 *   to tell them when it appends, and then answers 0 for each;
 * - `read` returns at most `countMax` records behind `after`, oldest first, and never waits for
 *   more. One of more than `glanceCountMax` may show less than is there for a while, or nothing,
 *   where a log elsewhere has not brought it yet: `end` tells the end, and an empty page does not;
 * - `read` behind an offset whose next records are lost rejects with LOG_OFFSET_LOST. It never
 *   jumps;
 * - `hasMore` answers at once, from memory: false only where `wait` would wait too;
 * - `queueBytes` answers at once, from memory, how many bytes this process has given to `append`
 *   and still waits for; 0 when every call is answered;
 * - `wait` resolves once a record behind `after` can be read, or when `signal` aborts. It never
 *   rejects;
 * - `end` returns the offset of the last record that can be read, 0 for none;
 * - an encoded record is at most `recordBytesMax`; a larger one is refused before anything is
 *   written;
 * - a full disk rejects with DISK_FULL, loses nothing that was acknowledged, and a later append may
 *   succeed; any other failure of a store on this machine rejects with STORE_IO, and every later
 *   append too. A log elsewhere that cannot be reached rejects with STORE_UNREACHABLE, and a later
 *   call may succeed;
 * - `noteFolded` is for those who watch the log from outside, and nothing here reads it again: a
 *   log that nobody watches so ignores it;
 * - `assign` yields the partitions to own, whenever they change. Ownership itself is not the log's:
 *   two processes may hold the same partition for a while, and the state's head decides.
 *
 * There are two logs of this form: `events`, and `rejected`, which is kept for repair.
 */

import type { LogRecord, NewRecord } from './record.ts'

export interface Place {
  readonly partition: number
  /** 0 where only readers of the log can tell. */
  readonly offset: number
}

/** What identifies a log for ever: a state made from another one must not be used with it. */
export interface LogIdentity {
  /** Random, made at `init`; a restored backup gets a new one. */
  readonly incarnation: string
  readonly partitionCount: number
}

/** A read of so few records looks into the log itself, and shows what is there. */
export const glanceCountMax = 4

export interface EventLog {
  readonly identity: LogIdentity
  append(records: readonly NewRecord[]): Promise<readonly Place[]>
  /** Reads records with an offset greater than `after`. */
  read(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]>
  /** Tells whether a record behind `after` may be there to read. */
  hasMore(partition: number, after: number): boolean
  wait(partitions: readonly number[], after: readonly number[], signal: AbortSignal): Promise<void>
  end(partition: number): Promise<number>
  /** Offset of the oldest record kept, 0 for none. */
  start(partition: number): Promise<number>
  /** Yields the partitions to own whenever they change; an embedded log yields all, once. */
  assign(signal: AbortSignal): AsyncIterable<readonly number[]>
  queueBytes(): number
  /** Tells the log that the state holds all of the partition up to and with `offset`. */
  noteFolded(partition: number, offset: number): void
  close(): Promise<void>
}
