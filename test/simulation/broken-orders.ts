/**
 * Orders of effects that look harmless and are wrong, and trust in stores that they do not deserve,
 * each made of the real parts put together badly. The simulation must find each of them; see
 * `broken-orders.test.ts`.
 */

import type { ClaimSkeleton } from '../../src/campaign/message.ts'
import { createDelivery } from '../../src/delivery/delivery.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { decodeRecord } from '../../src/log/record.ts'
import { createDefinitionsCache } from '../../src/process/definitions-cache.ts'
import { runProcessor } from '../../src/process/processor.ts'
import { outboxPrefix, parseOutboxKey } from '../../src/process/scope.ts'
import { runWorker } from '../../src/process/worker.ts'
import type { CommitAnswer, Head, PartitionCommit } from '../../src/state/state-store.ts'
import type { Wiring } from './cluster.ts'

/** Tells other partitions what a commit will say, and commits after. */
export const forwardsBeforeCommit: Wiring = {
  runWorker,
  wrapState: (_, store, log) => ({
    ...store,
    async commit(commits) {
      const records = commits.flatMap(({ changes }) =>
        changes.flatMap(({ key, value }) => {
          if (value === undefined || !key.startsWith(outboxPrefix)) return []
          return [decodeRecord(parseOutboxKey(key).target, 0, value)]
        }),
      )
      if (records.length > 0) await log.append(records)
      return await store.commit(commits)
    },
  }),
}

/** Moves the offset first, and writes what was folded up to it in a second step. */
export const movesOffsetBeforeState: Wiring = {
  runWorker,
  wrapState: (_, store) => ({
    ...store,
    async commit(commits) {
      const heads = commits.map((commit): PartitionCommit => ({ ...commit, changes: [] }))
      const answers = await store.commit(heads)
      if (answers.some((answer) => answer !== 'committed')) return answers
      const bodies = commits.map((commit) => ({ ...commit, previousOffset: commit.offset }))
      return await store.commit(bodies)
    },
  }),
}

/** Goes on from what it remembers, where the store has lost commits. */
export const goesOnOverALoss: Wiring = {
  runWorker,
  wrapState(_, store) {
    const left = new Map<number, Head>()
    const head = async (partition: number): Promise<Head> => {
      const [found, own] = [await store.head(partition), left.get(partition)]
      return own !== undefined && found.epoch <= own.epoch ? own : found
    }
    const commitOne = async (commit: PartitionCommit): Promise<CommitAnswer> => {
      const { partition, epoch, nonce } = commit
      let [answer = 'moved'] = await store.commit([commit])
      const found = await store.head(partition)
      if (answer !== 'committed' && found.epoch <= epoch) {
        await store.acquire(partition, epoch, nonce)
        answer = (await store.commit([{ ...commit, previousOffset: found.offset }]))[0] ?? answer
      }
      if (answer === 'committed') left.set(partition, commit)
      return answer
    }
    return { ...store, head, commit: (commits) => Promise.all(commits.map(commitOne)) }
  },
}

/** Believes what a copy says, of whichever commit it is. */
export const readsAnyCopy: Wiring = {
  runWorker,
  wrapCopy(copy) {
    const tags = new Map<number, string>()
    return {
      ...copy,
      async begin(partition, tag) {
        await copy.begin(partition, tag)
        tags.set(partition, tag)
      },
      async apply(partition, from, to) {
        const isApplied = await copy.apply(partition, from, to)
        if (isApplied) tags.set(partition, to.tag)
        return isApplied
      },
      async get(partition, keys) {
        const { values } = await copy.get(partition, keys)
        return { tag: tags.get(partition) ?? '', values }
      },
    }
  },
}

/** Takes an appended claim for a grant, and does not wait for what the fold says. */
export const handsOverBeforeGrant: Wiring = {
  runWorker: async (deps, options, signal) => {
    const { definitionsOf, listOf, templateOf } = createDefinitionsCache(deps.blobs)
    const { mailer, clock, state, freshness } = deps
    if (mailer === undefined) return
    const { workspace } = options.processor
    const log: EventLog = {
      ...deps.log,
      async append(records) {
        const places = await deps.log.append(records)
        for (const { kind, skeleton } of records) {
          if (kind !== 'claim') continue
          const { messageId, attempt } = skeleton as ClaimSkeleton
          delivery.claimAnswered(messageId, attempt, true)
        }
        return places
      },
    }
    const delivery = createDelivery(
      {
        ...deps,
        log,
        mailer,
        place: { state, workspace, partitionCount: log.identity.partitionCount },
        advise: (request) => deps.advisor.advise(request),
        ageMs: (partition) => clock.nowMs() - freshness.confirmedAtMs(partition),
        reachedOffset: (partition) => freshness.reachedOffset(partition),
        templateOf,
        triggerEventOf: async () => undefined,
      },
      options.delivery,
    )
    const processor = runProcessor(
      {
        ...deps,
        definitionsOf,
        listOf,
        reportStopped: () => {},
        drain: async () => {},
        lost: () => {},
        publish: ({ partition, effects, ownedEpoch }) => {
          for (const effect of effects) {
            if (effect.kind === 'message-due') delivery.messageDue(effect.messageId)
          }
          if (ownedEpoch !== undefined) delivery.owned(partition, ownedEpoch)
        },
      },
      options.processor,
      signal,
    )
    await Promise.race([processor, delivery.run(signal)])
  },
}
