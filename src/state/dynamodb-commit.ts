/**
 * Acquires, releases and commits partitions.
 *
 * A commit that fits goes in one transaction: the head moves on if it still has this owner, offset
 * and commit number, and the changes with it. Order of effects of a larger one:
 * 1. put its changes beside the state as redo chunks, unseen;
 * 2. move the head, with the same conditions, to the new offset and "redo pending": from here on
 *    the commit is taken, and readers see its changes by looking into the chunks;
 * 3. apply the changes in transactions that check the head, the last of which ends the redo;
 * 4. delete the chunks.
 * A crash before 2 leaves chunks, which the next owner deletes; one after 2 leaves a redo, which
 * the next owner finishes before it is told that it has the partition, or this one before anything
 * else. An item thus holds one value of full size, and a small commit costs nothing extra.
 *
 * The commit number in every condition is what makes a request harmless that the network held back:
 * it was right for one number, and numbers never come back. `acquire` raises it too, so that a
 * held-back request of the same owner is void before its chunks are deleted.
 */

import { OperatingError } from '../lib/errors.ts'
import { isInvalid, isRefused } from './dynamodb-client.ts'
import {
  changeBytes,
  decodeHeadItem,
  type HeadItem,
  headKey,
  type Item,
  noHeadItem,
} from './dynamodb-layout.ts'
import {
  applyRedo,
  type DynamodbPlace,
  deleteLeftChunks,
  deleteRedo,
  forAll,
  type HeadOperation,
  loadHeadItem,
  ownedAtNumber,
  ownedAtNumberValues,
  transact,
  transactionBytesMax,
  transactionChangeCountMax,
  writeRedo,
} from './dynamodb-redo.ts'
import { type Change, type CommitAnswer, isRepeat, type PartitionCommit } from './state-store.ts'

/** Each round needs somebody else to have changed the head in between. */
const roundCountMax = 10

export class DynamodbCommitter {
  readonly #place: DynamodbPlace
  /** The head after our last call; none where a call failed, or before the first. */
  readonly #known = new Map<number, HeadItem>()
  /** The last call of each partition: calls of one partition run one after the other. */
  readonly #turns = new Map<number, Promise<unknown>>()

  constructor(place: DynamodbPlace) {
    this.#place = place
  }

  async acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'> {
    return await this.#inTurn(partition, async () => {
      this.#known.delete(partition)
      const taken = await this.#takeHead(partition, epoch, nonce)
      if (taken === undefined) return 'fenced'
      const head = await applyRedo(this.#place, partition, taken, undefined)
      if (head.head.epoch !== epoch || head.head.nonce !== nonce) return 'fenced'
      await deleteLeftChunks(this.#place, partition, head)
      this.#known.set(partition, head)
      return 'acquired'
    })
  }

  async release(partition: number, epoch: number, nonce: string): Promise<void> {
    await this.#inTurn(partition, async () => {
      this.#known.delete(partition)
      await this.#changeHead(partition, {
        condition: 'epoch = :epoch AND nonce = :nonce',
        update: 'SET nonce = :released',
        values: { ...ownerValues(epoch, nonce), ':released': { S: '' } },
      })
    })
  }

  async commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]> {
    return await forAll(commits, (commit) =>
      this.#inTurn(commit.partition, () => this.#commitOne(commit)),
    )
  }

  async #commitOne(commit: PartitionCommit): Promise<CommitAnswer> {
    const { partition } = commit
    const known = this.#known.get(partition)
    this.#known.delete(partition)
    // A refusal must come from a head that was read for it: the one we remember may be old.
    let isFresh = known === undefined
    let found = known ?? (await loadHeadItem(this.#place, partition))
    for (let round = 0; round < roundCountMax; round++) {
      if (isOwnerOf(found, commit)) {
        found = await applyRedo(this.#place, partition, found, undefined)
      }
      const answer = answerOf(found, commit)
      if (answer === undefined) {
        const written = await this.#write(found, commit)
        if (written.kind === 'committed') {
          this.#known.set(partition, written.head)
          return 'committed'
        }
        found = written.head
        isFresh = true
      } else if (isFresh) {
        this.#known.set(partition, found)
        return answer
      } else {
        found = await loadHeadItem(this.#place, partition)
        isFresh = true
      }
    }
    const says = `commit state of partition ${partition}: its head changes all the time`
    throw new OperatingError('STORE_UNREACHABLE', says)
  }

  async #write(found: HeadItem, commit: PartitionCommit): Promise<Written> {
    const { partition } = commit
    const changes = lastOfEachKey(commit.changes)
    const { epoch, nonce, offset, lastRecordId, incarnation } = commit
    const moved: HeadItem = {
      head: { epoch, nonce, offset, lastRecordId, incarnation },
      commitNumber: found.commitNumber + 1,
      redo: undefined,
    }
    if (isSmall(changes)) {
      try {
        const head = moveOperation(found, moved)
        const refused = await transact(this.#place, partition, { head, changes })
        if (refused === undefined) return { kind: 'committed', head: moved }
        return { kind: 'refused', head: refused }
      } catch (error) {
        // The service counts the size in another way than we do: then it is a large one.
        if (!isInvalid(error) || changes.length === 0) throw error
      }
    }
    return await this.#writeLarge(found, moved, { partition, changes })
  }

  async #writeLarge(
    found: HeadItem,
    moved: HeadItem,
    given: { readonly partition: number; readonly changes: readonly Change[] },
  ): Promise<Written> {
    const { partition, changes } = given
    const place = this.#place
    const redo = await writeRedo(place, partition, { epoch: moved.head.epoch, changes })
    const pending = { ...moved, redo }
    const head = moveOperation(found, pending)
    const refused = await transact(place, partition, { head, changes: [] })
    if (refused !== undefined && refused.redo?.id !== redo.id) {
      // Its condition was refused once, so it is refused for ever: no head will name these chunks.
      await deleteRedo(place, partition, redo)
      return { kind: 'refused', head: refused }
    }
    // Taken. Where a newer owner comes in between, it applies the changes.
    return { kind: 'committed', head: await applyRedo(place, partition, pending, changes) }
  }

  /** Returns the head with the new owner; undefined where it has another that is not older. */
  async #takeHead(partition: number, epoch: number, nonce: string): Promise<HeadItem | undefined> {
    const taken = await this.#changeHead(partition, {
      condition:
        'attribute_not_exists(epoch) OR epoch < :epoch OR (epoch = :epoch AND nonce = :nonce)',
      update:
        'SET epoch = :epoch, nonce = :nonce, atOffset = if_not_exists(atOffset, :zero), ' +
        'commitNumber = if_not_exists(commitNumber, :zero) + :one, ' +
        'lastRecordId = if_not_exists(lastRecordId, :none), ' +
        'incarnation = if_not_exists(incarnation, :none)',
      values: {
        ...ownerValues(epoch, nonce),
        ':zero': { N: '0' },
        ':one': { N: '1' },
        ':none': { S: '' },
      },
    })
    return taken.kind === 'committed' ? taken.head : undefined
  }

  async #changeHead(partition: number, operation: HeadOperation): Promise<Written> {
    const { client, table } = this.#place
    const { condition, update, values } = operation
    const input = {
      TableName: table,
      Key: headKey(partition),
      ConditionExpression: condition,
      UpdateExpression: update,
      ExpressionAttributeValues: values,
      ReturnValues: 'ALL_NEW' as const,
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
    }
    try {
      const attempted = `change the head of partition ${partition}`
      const { Attributes } = await client.call('UpdateItem', input, attempted)
      return { kind: 'committed', head: decodeHeadItem(Attributes) }
    } catch (error) {
      if (!isRefused(error)) throw error
      const { Item: item } = error as { readonly Item?: Item }
      return { kind: 'refused', head: decodeHeadItem(item) }
    }
  }

  async #inTurn<Result>(partition: number, work: () => Promise<Result>): Promise<Result> {
    const before = this.#turns.get(partition) ?? Promise.resolve()
    const turn = before.then(work, work)
    this.#turns.set(partition, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(partition) === turn) this.#turns.delete(partition)
    }
  }
}

interface Written {
  readonly kind: 'committed' | 'refused'
  /** After the write, or what refused it. */
  readonly head: HeadItem
}

function isOwnerOf({ head }: HeadItem, { epoch, nonce }: PartitionCommit): boolean {
  return head.epoch === epoch && head.nonce === nonce
}

/** Returns the answer that a head gives to a commit; undefined where it may be written. */
function answerOf(found: HeadItem, commit: PartitionCommit): CommitAnswer | undefined {
  if (found === noHeadItem || !isOwnerOf(found, commit)) return 'fenced'
  if (isRepeat(found.head, commit)) return 'committed'
  return commit.previousOffset === found.head.offset ? undefined : 'moved'
}

function lastOfEachKey(changes: readonly Change[]): readonly Change[] {
  return [...new Map(changes.map((change) => [change.key, change])).values()]
}

function isSmall(changes: readonly Change[]): boolean {
  if (changes.length > transactionChangeCountMax) return false
  return changes.reduce((sum, change) => sum + changeBytes(change), 0) <= transactionBytesMax
}

/** Moves the head from `found` to `moved`, by nobody but the owner of `moved`. */
function moveOperation(found: HeadItem, moved: HeadItem): HeadOperation {
  const { head, commitNumber, redo } = moved
  const sets = [
    ...['atOffset = :offset', 'lastRecordId = :lastRecordId', 'incarnation = :incarnation'],
    ...[
      'commitNumber = :next',
      ...(redo === undefined ? [] : ['redoId = :id, redoCount = :count']),
    ],
  ]
  return {
    condition: `${ownedAtNumber} AND atOffset = :previous AND attribute_not_exists(redoId)`,
    update: `SET ${sets.join(', ')}`,
    values: {
      ...ownedAtNumberValues(found),
      ':previous': { N: String(found.head.offset) },
      ':offset': { N: String(head.offset) },
      ':lastRecordId': { S: head.lastRecordId },
      ':incarnation': { S: head.incarnation },
      ':next': { N: String(commitNumber) },
      ...(redo === undefined
        ? {}
        : { ':id': { S: redo.id }, ':count': { N: String(redo.chunkCount) } }),
    },
  }
}

function ownerValues(epoch: number, nonce: string): Item {
  return { ':epoch': { N: String(epoch) }, ':nonce': { S: nonce } }
}
