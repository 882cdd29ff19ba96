/**
 * The state in one DynamoDB table.
 *
 * Nothing that was answered is lost: each write is in three places before its answer. A commit of
 * one partition is one transaction, or a redo where it is too large for one (see
 * `dynamodb-commit.ts`); partitions are committed side by side. Reads are of one instant (see
 * `dynamodb-read.ts`). Where the keys lie is in `dynamodb-layout.ts`.
 *
 * A call that fails with STORE_UNREACHABLE may have been taken. Repeating it is safe, by the same
 * owner or the next one: every write has a condition that held for one commit number only.
 */

import { createBatcher } from '../lib/batcher.ts'
import { systemRandom } from '../lib/random.ts'
import {
  type DynamodbClient,
  type DynamodbDeps,
  type DynamodbOptions,
  openDynamodbClient,
  tableDefault,
} from './dynamodb-client.ts'
import { DynamodbCommitter } from './dynamodb-commit.ts'
import type { HeadItem } from './dynamodb-layout.ts'
import { DynamodbReader } from './dynamodb-read.ts'
import { type DynamodbPlace, headCountMax, loadHeadItems } from './dynamodb-redo.ts'
import { checkStateTable } from './dynamodb-tables.ts'
import { assertCommitFits } from './key-order.ts'
import type { CommitAnswer, Entry, Head, PartitionCommit, StateStore } from './state-store.ts'

/** Opens the state; rejects with STORE_MISCONFIGURED where its table is missing or not ours. */
export async function openDynamodbStateStore(
  deps: DynamodbDeps,
  options: DynamodbOptions,
): Promise<StateStore> {
  const client = await openDynamodbClient(deps, options)
  const table = options.table ?? tableDefault
  try {
    await checkStateTable(client, table)
  } catch (error) {
    client.close()
    throw error
  }
  return new DynamodbStateStore(client, table, deps)
}

class DynamodbStateStore implements StateStore {
  readonly #place: DynamodbPlace
  readonly #reader: DynamodbReader
  readonly #committer: DynamodbCommitter
  readonly #loadHead: (partition: number) => Promise<HeadItem>

  constructor(client: DynamodbClient, table: string, deps: DynamodbDeps) {
    const { clock, logger, random = systemRandom } = deps
    this.#place = { client, table, random, logger }
    this.#reader = new DynamodbReader(this.#place, clock)
    this.#committer = new DynamodbCommitter(this.#place)
    this.#loadHead = createBatcher(
      (partitions: readonly number[]) => loadHeadItems(this.#place, partitions),
      headCountMax,
    )
  }

  async head(partition: number): Promise<Head> {
    return (await this.#loadHead(partition)).head
  }

  async get(
    partition: number,
    keys: readonly string[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    return await this.#reader.get(partition, keys)
  }

  async scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]> {
    return await this.#reader.scan(partition, prefix, after, countMax)
  }

  async acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'> {
    return await this.#committer.acquire(partition, epoch, nonce)
  }

  async release(partition: number, epoch: number, nonce: string): Promise<void> {
    await this.#committer.release(partition, epoch, nonce)
  }

  async commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]> {
    for (const commit of commits) assertCommitFits(commit)
    return await this.#committer.commit(commits)
  }

  async close(): Promise<void> {
    this.#place.client.close()
  }
}
