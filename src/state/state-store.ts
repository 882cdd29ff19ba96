/**
 * The partitioned state: ordered keys with byte values.
 *
 * A key is text and begins with its family (`person/`, `timer/`, `message/` ...); keys order by
 * their UTF-8 bytes. Beside the keys a partition has a head: who may commit (epoch, nonce) and the
 * offset it has reached. The head is what fences: it is the store's, not the fold's, and is no part
 * of the canonical dump.
 *
 * Contract, checked for every adapter by `state-store.contract.ts`:
 * - `commit` is all or nothing for each partition: changes, offset and `lastRecordId` together. The
 *   result has one answer per partition in the order given; `fenced` where epoch or nonce differ
 *   from the head, `moved` where the head's offset is not `previousOffset`. A refused commit
 *   changes nothing;
 * - a commit repeated by the same owner, because its answer was lost, is answered `committed` and
 *   changes nothing more: the head has its offset and `lastRecordId` already;
 * - a commit that was answered is seen by every later `get`, `scan` and `head`;
 * - the store may lose its newest commits in a crash (never part of one): the log makes them again;
 * - `acquire` sets epoch and nonce if `epoch` is greater than the head's, or both are the head's
 *   own already; else it answers `fenced` and changes nothing;
 * - `release` empties the nonce where epoch and nonce are the head's own, so that the next owner
 *   need not wait; that owner's commits are fenced from then on;
 * - a store elsewhere that cannot be reached rejects with STORE_UNREACHABLE; whether a commit was
 *   taken is unclear then, and the caller may repeat it;
 * - `scan` returns keys with `prefix`, greater than `after`, in order, at most `countMax`;
 * - a key holds at most `keyBytesMax` bytes, a value at most `valueBytesMax` (a DynamoDB item is
 *   400 KB);
 * - one commit holds at most `commitCountMax` changes per partition.
 */

export const keyBytesMax = 900
export const valueBytesMax = 350 * 1024
export const commitCountMax = 20_000

export interface Head {
  readonly epoch: number
  readonly nonce: string
  /** Offset of the last record folded into the state; 0 for none. */
  readonly offset: number
  /**
   * Id of that record in hex, to notice a log that is not the one this state was made from; '' for
   * none.
   */
  readonly lastRecordId: string
  /** The log's incarnation that this state was made from; '' before the first commit. */
  readonly incarnation: string
}

/** `value` undefined deletes the key. */
export interface Change {
  readonly key: string
  readonly value: Uint8Array | undefined
}

export interface PartitionCommit {
  readonly partition: number
  readonly epoch: number
  readonly nonce: string
  readonly previousOffset: number
  readonly offset: number
  readonly lastRecordId: string
  readonly incarnation: string
  readonly changes: readonly Change[]
}

export type CommitAnswer = 'committed' | 'fenced' | 'moved'

export interface Entry {
  readonly key: string
  readonly value: Uint8Array
}

export interface StateReader {
  head(partition: number): Promise<Head>
  /** Returns one value or undefined per key, in the order of `keys`. */
  get(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]>
}

export interface StateStore extends StateReader {
  acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'>
  release(partition: number, epoch: number, nonce: string): Promise<void>
  commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]>
  close(): Promise<void>
}

/** Tells whether a commit is the one that brought the head to where it is. */
export function isRepeat(head: Head, commit: PartitionCommit): boolean {
  return (
    commit.offset === head.offset &&
    commit.previousOffset < commit.offset &&
    commit.lastRecordId === head.lastRecordId &&
    commit.epoch === head.epoch &&
    commit.nonce === head.nonce
  )
}

export const noHead: Head = { epoch: 0, nonce: '', offset: 0, lastRecordId: '', incarnation: '' }
