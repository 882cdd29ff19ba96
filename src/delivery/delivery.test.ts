import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  type ClaimSkeleton,
  duePrefix,
  type Message,
  messagePrefix,
  partitionOfMessage,
} from '../campaign/message.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { systemRandom } from '../lib/random.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { partitionOf } from '../log/record.ts'
import { createPerson, encodePerson, personPrefix } from '../profile/person.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { noHead, type StateStore } from '../state/state-store.ts'
import { someKeys } from '../template/cart-reminder.fixture.ts'
import { createInlineRenderer } from '../template/render-pool.ts'
import { createDelivery, type Delivery, type DeliveryOptions } from './delivery.ts'
import { forgottenEvent } from './watch-due.ts'

const partitionCount = 4
const waitMsMax = 60_000
const workspace = 'default'
const personKey = 'user:ada'

describe('delivery', () => {
  it('takes up a partition that is given to it while it looks through another', async (t) => {
    const message = aDueMessage(2)
    const stage = await openStage(t, [message])
    stage.beforeScan(async () => stage.delivery.owned(2, 1))
    // Nothing is due in it: no attempt ends that would make delivery look again.
    stage.delivery.owned(1, 1)
    await stage.untilClaimed([message])
  })

  it('looks through a partition again where the state could not be reached', async (t) => {
    const message = aDueMessage(2)
    const stage = await openStage(t, [message])
    stage.beforeScan(() => Promise.reject(new OperatingError('STORE_UNREACHABLE', 'scan')))
    stage.delivery.owned(2, 1)
    await stage.untilClaimed([message])
    assert.deepEqual(stage.said, ['due messages cannot be read'])
  })

  it('takes up a due message that nobody told it of, and says so', async (t) => {
    const message = aDueMessage(2)
    const stage = await openStage(t, [], { dueLookMs: 5 })
    stage.delivery.owned(2, 1)
    await stage.firstScan
    await stage.commitDue(message)
    await stage.untilClaimed([message])
    assert.deepEqual(stage.said, [forgottenEvent])
  })

  it('claims a message that has lapsed while its data is too old, to have it closed', async (t) => {
    const message = { ...aDueMessage(2), notAfterMs: 0 }
    const stage = await openStage(t, [message], { ageMs: 3_600_000 })
    stage.delivery.owned(2, 1)
    await stage.untilClaimed([message])
  })
})

function aDueMessage(partition: number): Message {
  return {
    messageId: `${partition.toString(36).padStart(2, '0')}-${'m'.repeat(22)}`,
    personKey,
    campaign: 'cart',
    enrollmentId: 'e',
    step: 0,
    template: 'cart-reminder',
    topic: 'reminders',
    trigger: { kind: 'segment-entry', name: 's', offset: 1, atMs: 0 },
    dueAtMs: 0,
    notAfterMs: Number.MAX_SAFE_INTEGER,
    freshWithinMs: 1000,
    recommendationCount: 0,
    definitionsHash: 'd',
    state: { kind: 'due', attempt: 0 },
    outcomes: {},
  }
}

/** Delivery over a state that holds these messages as due; each is refused where it is claimed. */
async function openStage(
  t: TestContext,
  messages: readonly Message[],
  {
    ageMs = 0,
    ...options
  }: Pick<DeliveryOptions, 'dueLookMs'> & {
    /** Of the data of all partitions. */
    readonly ageMs?: number
  } = {},
) {
  const store = createMemoryStateStore()
  // Without a person there is no data that could be too old.
  const person = createPerson(personKey, 0)
  const changes = [{ key: personPrefix + personKey, value: encodePerson(person) }]
  const partition = partitionOf(workspace, personKey, partitionCount)
  await store.commit([{ ...noHead, partition, previousOffset: 0, changes }])
  const write = async (message: Message, due: Uint8Array | undefined): Promise<void> => {
    const { messageId } = message
    const partition = partitionOfMessage(messageId) ?? 0
    const changes = [
      { key: messagePrefix + messageId, value: Buffer.from(JSON.stringify(message)) },
      { key: duePrefix + messageId, value: due },
    ]
    await store.commit([{ ...noHead, partition, previousOffset: 0, changes }])
  }
  const commitDue = (message: Message): Promise<void> => write(message, new Uint8Array(0))
  for (const message of messages) await commitDue(message)
  let beforeScan = (): Promise<void> => Promise.resolve()
  const firstScan = Promise.withResolvers<void>()
  const state: StateStore = {
    ...store,
    async scan(...given) {
      const before = beforeScan
      beforeScan = () => Promise.resolve()
      await before()
      const page = await store.scan(...given)
      firstScan.resolve()
      return page
    },
  }
  const said: string[] = []
  const say = (_fields: unknown, event: string): void => {
    said.push(event)
  }
  const identity = { incarnation: 'i', partitionCount }
  const claimed: string[] = []
  const log = createMemoryEventLog({ identity })
  const delivery: Delivery = createDelivery(
    {
      place: { state, workspace, partitionCount },
      clock: systemClock,
      random: systemRandom,
      logger: { info: say, warn: say, error: say },
      log: {
        ...log,
        async append(records) {
          const places = await log.append(records)
          for (const { kind, skeleton } of records) {
            if (kind !== 'claim') continue
            const { messageId, attempt } = skeleton as ClaimSkeleton
            claimed.push(messageId)
            await write(aDueMessage(partitionOfMessage(messageId) ?? 0), undefined)
            delivery.claimAnswered(messageId, attempt, false)
          }
          return places
        },
      },
      renderer: createInlineRenderer(someKeys),
      mailer: {
        handOver: () => Promise.reject(new Error('no claim is granted')),
        close: () => Promise.resolve(),
      },
      blobs: { put: () => Promise.reject(new Error('no claim is granted')) },
      advise: () => Promise.resolve({ recommendations: [], learnedCount: 0 }),
      ageMs: () => ageMs,
      reachedOffset: () => 0,
      templateOf: () => Promise.resolve(undefined),
      triggerEventOf: () => Promise.resolve(undefined),
    },
    {
      from: 'Shop <hello@shop.example>',
      envelopeFrom: 'hello@shop.example',
      publicUrl: 'https://mail.shop.example',
      signingKeyId: someKeys.currentId,
      addressSecret: new Uint8Array(32),
      staleWaitMs: 1,
      attemptCountMax: 4,
      queueCountMax: 10,
      ...options,
    },
  )
  const stop = new AbortController()
  const running = delivery.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  return {
    delivery,
    commitDue,
    /** Resolves when an index was looked through. */
    firstScan: firstScan.promise,
    /** What was logged. */
    said,
    /** Calls `before` at the next look at an index, once, before it is answered. */
    beforeScan(before: () => Promise<void>): void {
      beforeScan = before
    },
    /** Resolves when all of them were claimed, and no other. */
    async untilClaimed(expected: readonly Message[]): Promise<void> {
      const deadlineMs = systemClock.monotonicMs() + waitMsMax
      while (claimed.length < expected.length && systemClock.monotonicMs() < deadlineMs) {
        await systemClock.sleep(5)
      }
      const expectedIds = expected.map(({ messageId }) => messageId)
      assert.deepEqual(claimed.toSorted(), expectedIds.toSorted())
    },
  }
}
