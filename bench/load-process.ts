/**
 * The load generator: a process of its own with as little cost as possible, since it shares the
 * machine with what it measures. Plain sockets that stay open, requests written beforehand, one at
 * a time on each connection, answers read by status line and content length.
 *
 * In the open loop a latency counts from the instant at which the request was to leave, so a server
 * that stalls is charged for all that waited. Timers are exact to about 1 ms, which is in it too.
 */

import { connect, type Socket } from 'node:net'
import { systemClock } from '../src/lib/clock.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { percentile } from './figure.ts'
import type { LoadPlan, LoadReport, RequestTemplate } from './load-plan.ts'

const digitZero = 48
const retryAfterMsDefault = 1000
const seed = 7

interface OwnRequest {
  readonly bytes: Buffer
  readonly digits: RequestTemplate['digits']
}

interface Connection {
  socket: Socket
  readonly requests: readonly OwnRequest[]
  turn: number
  /** When the request in hand was to leave; undefined while the connection is free. */
  dueAt: number | undefined
  inHand: Buffer
  /** Bytes of an answer that has not come whole. */
  rest: Buffer | undefined
}

class Load {
  readonly #plan: LoadPlan
  readonly #random = createSeededRandom(seed)
  readonly #latencies: number[] = []
  readonly #statuses: Record<string, number> = {}
  readonly #free: Connection[] = []
  readonly #waiting: number[] = []
  readonly #done = Promise.withResolvers<void>()
  #nextEvent: number
  #sentCount = 0
  #openCount = 0
  #isEnded = false
  #errorCount = 0
  #startedAt = 0
  #countFrom = 0
  #countTo = Number.POSITIVE_INFINITY
  #lastAt = 0
  #firstRefusedAt: number | undefined

  constructor(plan: LoadPlan) {
    this.#plan = plan
    this.#nextEvent = plan.firstEvent
  }

  async run(): Promise<LoadReport> {
    const { plan, connections } = { plan: this.#plan, connections: await this.#connect() }
    const cpu = process.cpuUsage()
    this.#startedAt = systemClock.monotonicMs()
    this.#countFrom = this.#startedAt + plan.warmUpMs
    if (plan.durationMs !== undefined) this.#countTo = this.#countFrom + plan.durationMs
    if (plan.ratePerSecond === undefined) {
      for (const connection of connections) this.#sendNext(connection)
    } else {
      this.#free.push(...connections)
      await this.#pace(plan.ratePerSecond)
    }
    if (this.#openCount > 0) await this.#done.promise
    const used = process.cpuUsage(cpu)
    const wallMs = systemClock.monotonicMs() - this.#startedAt
    this.#isEnded = true
    for (const { socket } of connections) socket.destroy()
    return this.#report((used.user + used.system) / 1000 / wallMs)
  }

  #report(cpuShare: number): LoadReport {
    const latencies = Float64Array.from(this.#latencies)
    const endAt = Number.isFinite(this.#countTo) ? this.#countTo : this.#lastAt
    return {
      statuses: this.#statuses,
      okCount: this.#statuses['200'] ?? 0,
      seconds: (endAt - this.#countFrom) / 1000,
      latencyMs: {
        p50: percentile(latencies, 0.5),
        p90: percentile(latencies, 0.9),
        p99: percentile(latencies, 0.99),
        max: percentile(latencies, 1),
      },
      nextEvent: this.#nextEvent,
      sentCount: this.#sentCount,
      cpuShare,
      ...(this.#firstRefusedAt === undefined
        ? {}
        : { firstRefusedMs: this.#firstRefusedAt - this.#startedAt }),
      errorCount: this.#errorCount,
    }
  }

  async #connect(): Promise<readonly Connection[]> {
    const { plan } = { plan: this.#plan }
    return await Promise.all(
      Array.from({ length: plan.connectionCount }, async (_, index): Promise<Connection> => {
        const requests = plan.requests.map(({ bytes, digits }) => {
          return { bytes: Buffer.from(bytes), digits }
        })
        const socket = await this.#openSocket()
        const turn = index % requests.length
        const connection: Connection = {
          ...{ socket, requests, turn, dueAt: undefined },
          ...{ inHand: Buffer.alloc(0), rest: undefined },
        }
        this.#listen(connection)
        return connection
      }),
    )
  }

  #openSocket(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#plan.port, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(socket)
      })
    })
  }

  #listen(connection: Connection): void {
    connection.socket.on('data', (chunk) => this.#take(connection, chunk))
    connection.socket.on('error', () => undefined)
    connection.socket.on('close', () => this.#reopen(connection))
  }

  /** The server closed the connection: what was in hand goes again over a new one. */
  #reopen(connection: Connection): void {
    if (this.#isEnded) return
    this.#errorCount++
    this.#openSocket().then(
      (socket) => {
        connection.socket = socket
        connection.rest = undefined
        this.#listen(connection)
        if (connection.dueAt !== undefined) socket.write(connection.inHand)
      },
      () => {
        if (connection.dueAt !== undefined) this.#finish(connection)
      },
    )
  }

  async #pace(ratePerSecond: number): Promise<void> {
    const msEach = 1000 / ratePerSecond
    for (let count = 0; ; ) {
      const now = systemClock.monotonicMs()
      if (now >= this.#countTo) return
      for (; this.#startedAt + count * msEach <= now; count++) {
        const dueAt = this.#startedAt + count * msEach
        // The one that was free longest: a server closes connections that stay quiet.
        const connection = this.#free.shift()
        if (connection === undefined) this.#waiting.push(dueAt)
        else this.#send(connection, dueAt)
      }
      await systemClock.sleep(1)
    }
  }

  #sendNext(connection: Connection): void {
    const now = systemClock.monotonicMs()
    const isEnough = this.#sentCount >= (this.#plan.requestCountMax ?? Number.POSITIVE_INFINITY)
    if (!isEnough && now < this.#countTo) this.#send(connection, now)
  }

  #send(connection: Connection, dueAt: number): void {
    const request = connection.requests[connection.turn] as OwnRequest
    connection.turn = (connection.turn + 1) % connection.requests.length
    this.#setDigits(request)
    connection.dueAt = dueAt
    connection.inHand = request.bytes
    this.#sentCount++
    this.#openCount++
    connection.socket.write(request.bytes)
  }

  #setDigits({ bytes, digits }: OwnRequest): void {
    const { userCount, itemCount } = this.#plan
    for (const { at, count, kind } of digits) {
      let rest =
        kind === 'event'
          ? this.#nextEvent++
          : Math.floor(this.#random.unit() * (kind === 'user' ? userCount : itemCount))
      for (let place = at + count - 1; place >= at; place--) {
        bytes[place] = digitZero + (rest % 10)
        rest = Math.floor(rest / 10)
      }
    }
  }

  #take(connection: Connection, chunk: Buffer): void {
    const bytes = connection.rest === undefined ? chunk : Buffer.concat([connection.rest, chunk])
    const headEnd = bytes.indexOf('\r\n\r\n')
    const head = headEnd < 0 ? '' : bytes.toString('latin1', 0, headEnd)
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
    if (headEnd < 0 || bytes.length < headEnd + 4 + Number(length ?? 0)) {
      connection.rest = bytes
      return
    }
    connection.rest = undefined
    // The server's last word before it closes a quiet connection.
    if (connection.dueAt === undefined) return
    const now = systemClock.monotonicMs()
    const status = head.slice(9, 12)
    if (now >= this.#countFrom && now <= this.#countTo) {
      this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
      if (status === '200') this.#latencies.push(now - connection.dueAt)
      this.#lastAt = now
    }
    if (status === '429' || status === '503') this.#sendAgain(connection, head, now)
    else this.#finish(connection)
  }

  #sendAgain(connection: Connection, head: string, now: number): void {
    this.#firstRefusedAt ??= now
    const seconds = /\r\nretry-after: (\d+)/i.exec(head)?.[1]
    const ms = seconds === undefined ? retryAfterMsDefault : Number(seconds) * 1000
    void systemClock.sleep(ms).then(() => connection.socket.write(connection.inHand))
  }

  #finish(connection: Connection): void {
    this.#openCount--
    connection.dueAt = undefined
    if (this.#plan.ratePerSecond === undefined) this.#sendNext(connection)
    else {
      const dueAt = this.#waiting.shift()
      if (dueAt === undefined) this.#free.push(connection)
      else this.#send(connection, dueAt)
    }
    if (this.#openCount === 0) this.#done.resolve()
  }
}

process.on('message', (plan: LoadPlan) => {
  new Load(plan).run().then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
