/**
 * Sends events as a careful client does, and keeps its own list of what was acknowledged.
 *
 * A batch that was not answered by 2xx is sent again, the same one, until it is: so each event
 * ends acknowledged. What stands in `acknowledged` was answered by 2xx and by nothing else.
 *
 * Each batch brings a new person: three views as a device, a name, one thing put into the cart, in
 * one of five an order. The rest are views of people that came before. So every person is sent
 * exactly one message at once.
 */

import { Agent, request } from 'node:http'
import { systemClock } from '../../src/lib/clock.ts'
import { isJsonObject } from '../../src/lib/json.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { writeKey } from './small-shop.ts'

const batchCountDefault = 50
const connectionCount = 8
const answerMsMax = 10_000
const retryMs = 25
const recentPeopleCount = 500
/** One person in five orders, which ends the waiting campaign. */
const orderEvery = 5

export interface LoadOptions {
  readonly port: number
  readonly ratePerSecond: number
  readonly seed: number
  /** Events of one batch, which brings one person; at least 7. */
  readonly batchCount?: number
  /**
   * Share of batches that are sent once more, as if their answer had been lost; none unless said.
   */
  readonly repeatShare?: number
}

export interface LoadClient {
  /** Ids of events that were answered by 2xx. */
  readonly acknowledged: ReadonlySet<string>
  /** People whose `Product Added` was acknowledged. */
  readonly triggered: ReadonlySet<string>
  /** How often each status was answered; 0 = no answer. */
  readonly statuses: ReadonlyMap<number, number>
  /** `Retry-After` of the newest answer that was not 2xx. */
  readonly retryAfter: string | undefined
  /**
   * Stops making new batches; resolves when each one in hand is acknowledged, or `signal` aborts.
   */
  finish(signal: AbortSignal): Promise<void>
}

interface SentEvent {
  readonly type: string
  readonly messageId: string
  readonly event?: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly properties?: object
  readonly traits?: object
}

interface Batch {
  readonly body: string
  readonly eventIds: readonly string[]
  readonly userId: string
}

export function startLoad(options: LoadOptions): LoadClient {
  const random = createSeededRandom(options.seed)
  const { batchCount = batchCountDefault, repeatShare = 0 } = options
  const agent = new Agent({ keepAlive: true, maxSockets: connectionCount })
  const acknowledged = new Set<string>()
  const triggered = new Set<string>()
  const statuses = new Map<number, number>()
  const stopping = new AbortController()
  let given: AbortSignal | undefined
  let nextBatch = 0
  let retryAfter: string | undefined
  const everyMs = (1000 * batchCount * connectionCount) / options.ratePerSecond

  const sendUntilTaken = async (batch: Batch): Promise<void> => {
    while (given?.aborted !== true) {
      const answer = await post(agent, options.port, batch.body)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status >= 200 && answer.status < 300) {
        if (answer.rejectedCount !== 0) throw new Error('the server rejected a good event')
        for (const eventId of batch.eventIds) acknowledged.add(eventId)
        triggered.add(batch.userId)
        if (repeatShare === 0 || random.unit() >= repeatShare) return
        await post(agent, options.port, batch.body)
        return
      }
      if (answer.status !== 0) retryAfter = answer.retryAfter
      await systemClock.sleep(retryMs)
    }
  }
  const runConnection = async (): Promise<void> => {
    await systemClock.sleep(random.unit() * everyMs)
    while (!stopping.signal.aborted) {
      const dueAt = systemClock.monotonicMs() + everyMs
      await sendUntilTaken(makeBatch(nextBatch++, batchCount, random.unit))
      await systemClock.sleep(dueAt - systemClock.monotonicMs(), stopping.signal)
    }
  }
  const running = Promise.all(Array.from({ length: connectionCount }, runConnection))
  running.catch(() => undefined)
  return {
    acknowledged,
    triggered,
    statuses,
    get retryAfter() {
      return retryAfter
    },
    async finish(signal) {
      given = signal
      stopping.abort()
      try {
        await running
      } finally {
        agent.destroy()
      }
    },
  }
}

/** Returns the id of a person that the load makes; ids of events begin with it. */
function makeBatch(number: number, batchCount: number, unit: () => number): Batch {
  const userId = `u${number}`
  const anonymousId = `a${number}`
  const productId = `p${Math.floor(unit() * 200)}`
  const events: SentEvent[] = []
  const add = (event: Omit<SentEvent, 'messageId'>): void => {
    events.push({ messageId: `${userId}-${events.length}`, ...event })
  }
  const product = { product_id: productId, name: `Thing ${productId}`, price: 4.5, quantity: 1 }
  for (let view = 0; view < 3; view++) {
    add({ type: 'track', event: 'Product Viewed', anonymousId, properties: product })
  }
  const traits = { email: `${userId}@people.example`, name: `Person ${number}` }
  add({ type: 'identify', userId, anonymousId, traits })
  add({ type: 'track', event: 'Product Added', userId, properties: product })
  if (number % orderEvery === 0) {
    const properties = { order_id: `o${number}`, products: [product] }
    add({ type: 'track', event: 'Order Completed', userId, properties })
  }
  while (events.length < batchCount) {
    const other = Math.max(0, number - Math.floor(unit() * recentPeopleCount))
    // By device where the person has one: those are forwarded to the user's partition.
    const who = unit() < 0.2 ? { anonymousId: `a${other}` } : { userId: `u${other}` }
    add({ type: 'track', event: 'Product Viewed', ...who, properties: product })
  }
  return {
    body: JSON.stringify({ batch: events }),
    eventIds: events.map(({ messageId }) => messageId),
    userId,
  }
}

interface PostAnswer {
  /** 0 where the connection ended without an answer. */
  readonly status: number
  readonly retryAfter?: string | undefined
  readonly rejectedCount: number
}

function post(agent: Agent, port: number, body: string): Promise<PostAnswer> {
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const none: PostAnswer = { status: 0, rejectedCount: 0 }
  return new Promise((resolve) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        path: '/v1/batch?verbose=1',
        method: 'POST',
        agent,
        timeout: answerMsMax,
        headers: { authorization, 'content-type': 'application/json' },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', () => resolve(none))
        response.on('close', () => {
          if (!response.complete) return resolve(none)
          const status = response.statusCode ?? 0
          const retryAfter = response.headers['retry-after']
          resolve({ status, retryAfter, rejectedCount: countRejected(Buffer.concat(chunks)) })
        })
      },
    )
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(none))
    sent.end(body)
  })
}

function countRejected(bytes: Buffer): number {
  const body: unknown = JSON.parse(bytes.toString())
  return isJsonObject(body) && typeof body['rejected'] === 'number' ? body['rejected'] : 0
}
