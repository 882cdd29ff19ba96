/**
 * One connection to a Redis, or one to each master of a Redis Cluster, for the stores of this part.
 *
 * Calls of one turn of the event loop travel together: the sockets are corked at the first and
 * uncorked at the end of the turn. A command is written at most once on a single Redis. It is
 * never kept for later: while there is no connection a call waits for one, then rejects with
 * STORE_UNREACHABLE. A call that was written and not answered in time rejects with the same code;
 * the server may still take it, even after a later call over another connection, so that a command
 * that writes must carry its own guard.
 *
 * The client reconnects by itself, without end. What goes wrong in between is told in the errors of
 * the calls and in one log line for each loss and each return.
 */

import { createHash } from 'node:crypto'
import type { Command, Redis } from 'ioredis'
import type { Clock } from '../lib/clock.ts'
import { type ErrorCode, OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import {
  createRedisClient,
  findRedisFault,
  type RedisClient,
  type RedisConnection,
  type RedisTls,
  type RoutedCommand,
  type RoutedCommandClass,
  routedCommandOf,
} from './redis-client.ts'

export interface RedisLinkDeps {
  readonly clock: Clock
  readonly logger: Logger
}

export interface RedisLinkOptions {
  /** `redis://` or `rediss://`, with user and password; of a cluster some of its nodes. */
  readonly urls: readonly string[]
  readonly isCluster?: boolean
  readonly tls?: RedisTls
  /** Whether the server may evict keys: only where they are a copy. */
  readonly mayEvict?: boolean
  /** Replicas that must have what a replicated call wrote before it resolves. */
  readonly replicaCountMin?: number
  readonly replicaMsMax?: number
  /** For the first connection, and for each later attempt. */
  readonly connectMsMax?: number
  /** For one call, the wait for a connection included. */
  readonly callMsMax?: number
}

/** Lua that runs in the server; sent once to each server, named by its hash after that. */
export interface RedisScript {
  readonly source: string
  readonly hash: string
}

export type RedisArgument = string | Uint8Array

/** Whether a call resolves at the master's answer, or when its replicas have what it wrote too. */
export type Durability = 'local' | 'replicated'

const connectMsMaxDefault = 5000
const callMsMaxDefault = 5000
const replicaMsMaxDefault = 1000
const versionMajorMin = 7

/** What an error reply of Redis means to us, by how it begins. */
const replyCodes: Readonly<Record<string, ErrorCode>> = {
  OOM: 'DISK_FULL',
  MISCONF: 'DISK_FULL',
  NOAUTH: 'STORE_MISCONFIGURED',
  WRONGPASS: 'STORE_MISCONFIGURED',
  NOPERM: 'STORE_MISCONFIGURED',
  WRONGTYPE: 'STORE_CORRUPT',
  LOADING: 'STORE_UNREACHABLE',
  BUSY: 'STORE_UNREACHABLE',
  READONLY: 'STORE_UNREACHABLE',
  MASTERDOWN: 'STORE_UNREACHABLE',
  NOREPLICAS: 'STORE_UNREACHABLE',
  CLUSTERDOWN: 'STORE_UNREACHABLE',
  TRYAGAIN: 'STORE_UNREACHABLE',
  MOVED: 'STORE_UNREACHABLE',
  ASK: 'STORE_UNREACHABLE',
  // The master became a replica, behind a write that it had answered.
  UNBLOCKED: 'STORE_UNREACHABLE',
  'ERR WAIT cannot be used with replica': 'STORE_UNREACHABLE',
}

export function createScript(source: string): RedisScript {
  return { source, hash: createHash('sha1').update(source).digest('hex') }
}

/** Connects, and refuses a server that would lose keys by itself. */
export async function openRedisLink(
  deps: RedisLinkDeps,
  options: RedisLinkOptions,
): Promise<RedisLink> {
  const ioredis = await import('ioredis')
  const connection = {
    urls: options.urls,
    isCluster: options.isCluster ?? false,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    mayEvict: options.mayEvict ?? false,
    connectMsMax: options.connectMsMax ?? connectMsMaxDefault,
    callMsMax: options.callMsMax ?? callMsMaxDefault,
    replicaCountMin: options.replicaCountMin ?? 0,
    replicaMsMax: options.replicaMsMax ?? replicaMsMaxDefault,
  }
  const client = createRedisClient(ioredis, connection)
  const link = new RedisLink(deps, client, routedCommandOf(ioredis.Command), connection)
  try {
    await link.connect()
    return link
  } catch (error) {
    await link.close()
    // A cluster's client tells that no node could be asked, not why.
    const fault = connection.isCluster ? await findRedisFault(ioredis, connection) : undefined
    throw fault === undefined ? error : toOperatingError(fault, 'connect to Redis')
  }
}

type LinkConnection = RedisConnection &
  Required<Pick<RedisLinkOptions, 'replicaCountMin' | 'replicaMsMax'>>

export class RedisLink {
  readonly #deps: RedisLinkDeps
  readonly #client: RedisClient
  readonly #Command: RoutedCommandClass
  readonly #connection: LinkConnection
  /** The newest failure of the connection; told as the cause when a call finds none. */
  #lastError: unknown
  #isLost = false
  #isClosed = false
  #isCorked = false
  readonly #underWay = new Set<Promise<unknown>>()
  /** The WAIT under way at a connection. */
  readonly #waits = new Map<object, Promise<unknown>>()

  constructor(
    deps: RedisLinkDeps,
    client: RedisClient,
    commandClass: RoutedCommandClass,
    connection: LinkConnection,
  ) {
    this.#deps = deps
    this.#client = client
    this.#Command = commandClass
    this.#connection = connection
    for (const event of ['error', 'node error']) {
      client.on(event, (error: unknown) => {
        this.#lastError = error
      })
    }
    client.on('close', () => this.#noteLoss())
    client.on('ready', () => this.#noteReturn())
  }

  /**
   * Calls one command; replies are Buffers, numbers, null and arrays of them. A replicated one
   * rejects with STORE_UNREACHABLE where fewer replicas than wanted have it in time; it is written
   * all the same. Redis may still promote a replica that has not.
   */
  async call(
    attempted: string,
    name: string,
    parameters: readonly RedisArgument[],
    durability: Durability = 'local',
  ): Promise<unknown> {
    await this.#untilReady(attempted, this.#connection.callMsMax)
    const command = this.#commandOf(name, parameters)
    const reply = await this.#send(attempted, this.#client, command)
    if (durability === 'replicated') await this.#untilReplicated(command.route)
    return reply
  }

  /** Runs a script; the keys must share a hash tag. */
  async run(
    attempted: string,
    script: RedisScript,
    keys: readonly string[],
    parameters: readonly RedisArgument[],
    durability: Durability = 'local',
  ): Promise<unknown> {
    const rest = [`${keys.length}`, ...keys, ...parameters]
    try {
      return await this.call(attempted, 'evalsha', [script.hash, ...rest], durability)
    } catch (error) {
      // A script that the server does not know has not run.
      if (!isReply(causeOf(error), 'NOSCRIPT')) throw error
      return await this.call(attempted, 'eval', [script.source, ...rest], durability)
    }
  }

  /** Calls a command on every master. */
  async callMasters(
    attempted: string,
    name: string,
    parameters: readonly RedisArgument[],
  ): Promise<readonly unknown[]> {
    await this.#untilReady(attempted, this.#connection.callMsMax)
    const masters = this.#nodes('master')
    return await Promise.all(
      masters.map((one) => this.#send(attempted, one, this.#commandOf(name, parameters))),
    )
  }

  async connect(): Promise<void> {
    const attempted = 'connect to Redis'
    // What it rejects with comes as an 'error' too, and the client tries again by itself.
    this.#client.connect().catch(() => {})
    await this.#untilReady(attempted, this.#connection.connectMsMax)
    const reports = await this.callMasters(attempted, 'info', []).catch((error: unknown) => {
      if (!isReply(causeOf(error), 'NOPERM')) throw error
      this.#deps.logger.warn({}, 'redis hides its settings, so that they are not checked')
      return []
    })
    for (const report of reports) this.#checkSettings(String(report))
  }

  /** Resolves when all calls under way are answered. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
    this.#client.disconnect()
  }

  #checkSettings(report: string): void {
    const { settings, faults } = judgeSettings(report, this.#connection)
    if (faults.length > 0) {
      throw new OperatingError('STORE_MISCONFIGURED', `use Redis: ${faults.join('; ')}`)
    }
    if (this.#connection.mayEvict) return
    if (settings['maxmemory_policy'] === undefined) {
      this.#deps.logger.warn({}, 'redis hides its eviction policy, which must be noeviction')
    }
    if (settings['aof_enabled'] === '0') {
      this.#deps.logger.warn({}, 'redis keeps no append-only file, so that a restart loses much')
    }
  }

  /**
   * Waits until replicas have what was answered over a connection. Only there does the server know
   * what that was: where the connection is lost, nobody can tell. A WAIT that is under way comes
   * behind all that is answered before it.
   */
  async #untilReplicated(route: object | undefined): Promise<void> {
    const { replicaCountMin, replicaMsMax } = this.#connection
    if (replicaCountMin === 0) return
    const attempted = `carry what was written to ${replicaCountMin} replicas`
    const master = this.#nodes('all').find(({ stream }) => stream === route)
    if (route === undefined || master === undefined) {
      throw new OperatingError('STORE_UNREACHABLE', `${attempted}: the connection is lost`)
    }
    let wait = this.#waits.get(route)
    if (wait === undefined) {
      const command = this.#commandOf('wait', [`${replicaCountMin}`, `${replicaMsMax}`])
      wait = this.#send(attempted, master, command)
      this.#waits.set(route, wait)
      // First of all, before whoever was answered behind it can join.
      const forget = (): boolean => this.#waits.delete(route)
      command.promise.then(forget, forget)
    }
    const count = Number(await wait)
    if (count >= replicaCountMin) return
    throw new OperatingError('STORE_UNREACHABLE', `${attempted}: ${count} have it`)
  }

  #commandOf(name: string, parameters: readonly RedisArgument[]): RoutedCommand {
    return new this.#Command(name, parameters.map(toWire), { replyEncoding: null })
  }

  async #send(attempted: string, client: RedisClient, command: Command): Promise<unknown> {
    this.#cork()
    const answer = Promise.resolve(client.sendCommand(command))
    this.#underWay.add(answer)
    try {
      return await answer
    } catch (error) {
      throw toOperatingError(error, attempted)
    } finally {
      this.#underWay.delete(answer)
    }
  }

  /** Holds back what is written in this turn of the event loop, so that it leaves at once. */
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    const streams = this.#nodes('master').flatMap(({ stream }) => (stream ? [stream] : []))
    for (const stream of streams) stream.cork()
    setImmediate(() => {
      this.#isCorked = false
      for (const stream of streams) stream.uncork()
    })
  }

  #nodes(role: 'master' | 'all'): readonly Redis[] {
    return 'nodes' in this.#client ? this.#client.nodes(role) : [this.#client]
  }

  async #untilReady(attempted: string, msMax: number): Promise<void> {
    if (this.#isClosed) throw new OperatingError('STORE_IO', `${attempted}: the store is closed`)
    if (this.#isReady()) return
    const late = new AbortController()
    const onReady = (): void => late.abort()
    this.#client.once('ready', onReady)
    await this.#deps.clock.sleep(msMax, late.signal)
    this.#client.off('ready', onReady)
    if (this.#isReady()) return
    throw toOperatingError(this.#lastError ?? new Error('no connection'), attempted)
  }

  #isReady(): boolean {
    return this.#client.status === 'ready'
  }

  #noteLoss(): void {
    if (this.#isLost || this.#isClosed) return
    this.#isLost = true
    this.#deps.logger.warn({ reason: String(this.#lastError ?? 'closed') }, 'redis is unreachable')
  }

  #noteReturn(): void {
    if (!this.#isLost) return
    this.#isLost = false
    this.#deps.logger.info({}, 'redis is back')
  }
}

/** Returns a reply as text; '' for one that is none. */
export function textOf(reply: unknown): string {
  return Buffer.isBuffer(reply) ? reply.toString() : ''
}

function judgeSettings(
  report: string,
  { isCluster, mayEvict }: RedisConnection,
): {
  readonly settings: Readonly<Record<string, string>>
  readonly faults: readonly string[]
} {
  const lines = report.split('\r\n').map((line) => line.split(':'))
  const settings = Object.fromEntries(lines.map(([name = '', ...rest]) => [name, rest.join(':')]))
  const version = settings['redis_version'] ?? ''
  const policy = settings['maxmemory_policy'] ?? 'noeviction'
  const hasCluster = settings['cluster_enabled'] === '1'
  const faults = [
    Number.parseInt(version, 10) >= versionMajorMin ? '' : `version 7 or newer, not ${version}`,
    mayEvict || policy === 'noeviction' ? '' : `maxmemory-policy must be noeviction, not ${policy}`,
    hasCluster === isCluster ? '' : `it is ${hasCluster ? 'a' : 'no'} cluster`,
  ]
  return { settings, faults: faults.filter((fault) => fault !== '') }
}

function toWire(argument: RedisArgument): string | Buffer {
  if (typeof argument === 'string' || Buffer.isBuffer(argument)) return argument
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength)
}

function toOperatingError(error: unknown, attempted: string): OperatingError {
  const reply = deepest(error)
  const text = reply instanceof Error ? reply.message : ''
  if (String(reply).includes('cluster support disabled')) {
    return new OperatingError('STORE_MISCONFIGURED', `${attempted}: it is no cluster`)
  }
  const isAnswer = reply instanceof Error && reply.name === 'ReplyError'
  const known = Object.entries(replyCodes).find(([start]) => text.startsWith(start))?.[1]
  const code = known ?? (isAnswer ? 'STORE_IO' : 'STORE_UNREACHABLE')
  return new OperatingError(code, attempted, withoutCommand(reply))
}

/** The client hangs the whole command on its errors: personal data that no log should show. */
function withoutCommand(error: unknown): Error {
  const cause = new Error(error instanceof Error ? error.message : String(error))
  cause.name = error instanceof Error ? error.name : 'Error'
  return cause
}

/** Returns what stands behind the client's own wrapping. */
function deepest(error: unknown): unknown {
  const inner = error instanceof Error && 'lastNodeError' in error ? error.lastNodeError : undefined
  return inner === undefined || inner === null ? error : deepest(inner)
}

function causeOf(error: unknown): unknown {
  return error instanceof OperatingError ? error.cause : error
}

function isReply(error: unknown, word: string): boolean {
  return error instanceof Error && error.message.startsWith(word)
}
