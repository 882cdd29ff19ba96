/**
 * Sharing partitions out among processes, by Kafka's consumer group.
 *
 * Only who owns what comes from the group: places are in the state, and offsets of the group are
 * told to it for those who watch it, and never read. A member keeps what it had where it can
 * (cooperative, sticky), is missed after `sessionMsMax`, and leaves at once when it is told to
 * stop. The client library joins again by itself; where it gives up, or goes on without being
 * heard, a new member is made.
 */

import { Consumer, type GroupPartitionsAssigner } from '@platformatic/kafka'
import { toOperatingError } from './kafka-error.ts'
import {
  connectionOptionsOf,
  type KafkaClusterOptions,
  type KafkaLogDeps,
} from './kafka-options.ts'
import type { KafkaProgress } from './kafka-progress.ts'
import { type ShareClaim, sharePartitions } from './kafka-share.ts'

export interface KafkaGroupOptions extends KafkaClusterOptions {
  readonly groupId: string
  readonly sessionMsMax: number
  readonly heartbeatMs: number
  /** What is told to the group every `progressMs`. */
  readonly progress: KafkaProgress
  readonly progressMs: number
  /** From making a member to its first assignment. */
  readonly entryMsMax?: number
}

const protocol = { name: 'cooperative-sticky', version: 3 }
const rejoinMs = 500
const leaveMsMax = 1_500
/** Members that live join within a heartbeat; a dead one is waited for until its session ends. */
const rebalanceMsMax = 10_000
const joinMsMax = rebalanceMsMax + 5_000
/** The library repeats each of several requests before it gives up: minutes, without a word. */
const entryMsMaxDefault = 2 * joinMsMax

/** Yields the partitions to own whenever they change; leaves the group when `signal` aborts. */
export async function* assignByGroup(
  deps: KafkaLogDeps,
  options: KafkaGroupOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly number[]> {
  const news = new News()
  const onAbort = (): void => news.wake()
  signal.addEventListener('abort', onAbort, { once: true })
  const joining = runMember(deps, options, signal, (partitions) => news.tell(partitions))
  let known: string | undefined
  try {
    while (!signal.aborted) {
      const partitions = await news.next()
      if (partitions === undefined || known === partitions.join()) continue
      known = partitions.join()
      yield partitions
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    news.stop()
    await joining.leave()
  }
}

/** The newest assignment; older ones that nobody looked at are of no use. */
class News {
  #newest: readonly number[] | undefined
  #told = Promise.withResolvers<void>()

  tell(partitions: readonly number[]): void {
    this.#newest = partitions
    this.wake()
  }

  wake(): void {
    this.#told.resolve()
  }

  stop(): void {
    this.#newest = undefined
  }

  async next(): Promise<readonly number[] | undefined> {
    await this.#told.promise
    this.#told = Promise.withResolvers<void>()
    const newest = this.#newest
    this.#newest = undefined
    return newest
  }
}

interface Membership {
  /** Resolves when the group knows that this member is gone, or cannot be told. */
  leave(): Promise<void>
}

/** Keeps one member in the group until it is told to leave. */
function runMember(
  deps: KafkaLogDeps,
  options: KafkaGroupOptions,
  signal: AbortSignal,
  tell: (partitions: readonly number[]) => void,
): Membership {
  const leaving = new AbortController()
  const stop = AbortSignal.any([signal, leaving.signal])
  const run = async (): Promise<void> => {
    while (!stop.aborted) {
      const says = await runOneMember(deps, options, stop, tell)
      if (stop.aborted) return
      deps.logger.warn({ groupId: options.groupId, says }, 'log group left; joining anew')
      await deps.clock.sleep(rejoinMs, stop)
    }
  }
  const running = run()
  return {
    async leave() {
      leaving.abort()
      await running
    },
  }
}

/** Joins, tells what is assigned, and returns why it could not go on. */
async function runOneMember(
  deps: KafkaLogDeps,
  options: KafkaGroupOptions,
  stop: AbortSignal,
  tell: (partitions: readonly number[]) => void,
): Promise<string> {
  const consumer = new Consumer({
    ...connectionOptionsOf(options),
    requestTimeout: joinMsMax,
    clientId: options.clientId,
    bootstrapBrokers: [...options.brokers],
    groupId: options.groupId,
    sessionTimeout: options.sessionMsMax,
    heartbeatInterval: options.heartbeatMs,
    rebalanceTimeout: rebalanceMsMax,
    heartbeatStallTimeout: options.sessionMsMax,
    protocols: [protocol],
    partitionAssigner: assignShares,
    retries: 5,
    retryDelay: 200,
  })
  const failed = Promise.withResolvers<string>()
  const assigned = (): readonly number[] =>
    consumer.assignments?.find(({ topic }) => topic === options.topic)?.partitions ?? []
  const tellAssigned = (): void => {
    options.progress.forget()
    tell([...assigned()].sort((one, other) => one - other))
  }
  const { entryMsMax = entryMsMaxDefault } = options
  const entered = new AbortController()
  consumer.on('consumer:group:join', () => {
    entered.abort()
    tellAssigned()
  })
  consumer.on('consumer:group:rebalance', tellAssigned)
  consumer.on('consumer:heartbeat:stalled', () => failed.resolve('no heartbeat was answered'))
  consumer.on('error', (error: Error) => failed.resolve(error.message))
  const onStop = (): void => failed.resolve('it was told to')
  stop.addEventListener('abort', onStop, { once: true })
  if (stop.aborted) onStop()
  void deps.clock.sleep(entryMsMax, entered.signal).then(() => {
    if (!entered.signal.aborted) failed.resolve(`it was not let in within ${entryMsMax} ms`)
  })
  consumer.topics.track(options.topic)
  const joined = consumer.joinGroup({}).then(
    () => undefined,
    (error: unknown) => failed.resolve(toOperatingError(error, 'join the group').message),
  )
  const over = new AbortController()
  const watched = tellProgress(deps, options, { consumer, assigned }, over.signal)
  const says = await failed.promise
  over.abort()
  stop.removeEventListener('abort', onStop)
  entered.abort()
  // Whoever cannot say goodbye is missed after the session; nobody waits long for a cluster
  // that does not answer.
  const late = new AbortController()
  await Promise.race([leaveGroup(consumer), deps.clock.sleep(leaveMsMax, late.signal)])
  late.abort()
  await Promise.all([consumer.close(true).catch(() => undefined), joined, watched])
  return says
}

/** Tells the group how far its partitions are folded; a failure is made good at the next time. */
async function tellProgress(
  { clock, logger }: KafkaLogDeps,
  { progress, progressMs, groupId }: KafkaGroupOptions,
  of: { readonly consumer: Consumer; assigned(): readonly number[] },
  signal: AbortSignal,
): Promise<void> {
  let isTold = true
  while (!signal.aborted) {
    await clock.sleep(progressMs, signal)
    const { coordinatorId: coordinator, memberId, generationId: generation } = of.consumer
    if (signal.aborted || coordinator === null || memberId === null) continue
    try {
      await progress.tell({ coordinator, memberId, generation }, of.assigned())
      isTold = true
    } catch (error) {
      const { message } = toOperatingError(error, 'tell the group how far its partitions are')
      if (isTold) logger.info({ groupId, says: message }, 'log group not told of progress')
      isTold = false
    }
  }
}

/** The library's form of `sharePartitions`; a group has one topic. */
const assignShares: GroupPartitionsAssigner = (_own, members, topics, metadata) => {
  const [topic = ''] = topics
  const claims = [...members].map(([memberId, { ownedPartitions, generationId }]): ShareClaim => {
    const owned = ownedPartitions?.find((one) => one.topic === topic)?.partitions ?? []
    return { memberId, owned, generation: owned.length === 0 ? -1 : (generationId ?? -1) }
  })
  const shares = sharePartitions(claims, metadata.topics.get(topic)?.partitionsCount ?? 0)
  return [...shares].map(([memberId, share]) => {
    return { memberId, assignments: new Map([[topic, { topic, partitions: [...share] }]]) }
  })
}

async function leaveGroup(consumer: Consumer): Promise<void> {
  const leaving: void | Promise<void> = consumer.leaveGroup(true)
  await Promise.resolve(leaving).catch(() => undefined)
}
