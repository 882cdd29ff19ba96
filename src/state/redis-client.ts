/**
 * Makes the client of a Redis or a Redis Cluster from its urls, with the settings that the link
 * counts on: no command waits in the client, none is sent again by it, and it tries to reconnect
 * without end.
 */

import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { Cluster, ClusterOptions, Command, Redis, RedisOptions } from 'ioredis'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'

export interface RedisConnection {
  /** `redis://` or `rediss://`, with user and password; of a cluster some of its nodes. */
  readonly urls: readonly string[]
  readonly isCluster: boolean
  /** Of the servers' certificates, where no public authority is behind them; for `rediss://`. */
  readonly tls?: RedisTls
  readonly mayEvict: boolean
  readonly connectMsMax: number
  readonly callMsMax: number
}

export type RedisTls = Pick<TlsOptions, 'ca'>
export type RedisClient = Redis | Cluster

/** A command that knows over which connection it was written last: redirections change that. */
export type RoutedCommand = Command & { readonly route: object | undefined }
export type RoutedCommandClass = new (
  ...parameters: ConstructorParameters<typeof Command>
) => RoutedCommand

const retryDelayMs = 50
const retryDelayMsMax = 1000
const portDefault = 6379
const keyPrefixDefault = 'attune'

/** Refuses a prefix that would move keys to another slot of a cluster. */
export function parseKeyPrefix(prefix: string | undefined): string {
  const known = prefix ?? keyPrefixDefault
  if (/^[\w.-]+$/.test(known)) return known
  throw new OperatingError('CONFIG_INVALID', 'take a key prefix of letters, digits, -, _ and .')
}

/** Makes a client that is not connected yet. */
export function createRedisClient(
  ioredis: { readonly Redis: typeof Redis; readonly Cluster: typeof Cluster },
  options: RedisConnection,
): RedisClient {
  const places = options.urls.map(parseRedisUrl)
  const first = places[0]
  if (first === undefined) throw new OperatingError('CONFIG_INVALID', 'find the url of a Redis')
  const { username, password, tls } = first
  const common = {
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(tls ? { tls: { ...options.tls } } : {}),
    connectTimeout: options.connectMsMax,
    commandTimeout: options.callMsMax,
    socketTimeout: options.callMsMax,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
  } satisfies RedisOptions
  const delayMs = (times: number): number => Math.min(times * retryDelayMs, retryDelayMsMax)
  if (options.isCluster) {
    const nodes = places.map(({ host, port }) => ({ host, port }))
    return new ioredis.Cluster(nodes, {
      redisOptions: common,
      clusterRetryStrategy: delayMs,
      slotsRefreshTimeout: options.connectMsMax,
      enableOfflineQueue: false,
      lazyConnect: true,
      // A certificate names hosts, not addresses.
      ...(tls ? { dnsLookup: keepName } : {}),
    })
  }
  assert(places.length === 1, 'a single Redis has one url')
  return new ioredis.Redis({
    ...common,
    host: first.host,
    port: first.port,
    db: first.database,
    enableOfflineQueue: false,
    lazyConnect: true,
    retryStrategy: delayMs,
    // After a failover the same name may lead to the new master.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  })
}

export function routedCommandOf(commandClass: typeof Command): RoutedCommandClass {
  return class extends commandClass {
    route: object | undefined

    override toWritable(stream: object): string | Buffer {
      this.route = stream
      return super.toWritable(stream)
    }
  }
}

/** Connects to one node by itself; returns why that fails, or undefined where it does not. */
export async function findRedisFault(
  ioredis: { readonly Redis: typeof Redis; readonly Cluster: typeof Cluster },
  options: RedisConnection,
): Promise<unknown> {
  const urls = options.urls.slice(0, 1)
  const client = createRedisClient(ioredis, { ...options, urls, isCluster: false })
  let fault: unknown
  client.on('error', (error) => {
    fault ??= error
  })
  await client.connect().catch((error: unknown) => {
    fault ??= error
  })
  client.disconnect()
  return fault
}

const keepName: NonNullable<ClusterOptions['dnsLookup']> = (name, found) => found(null, name)

interface RedisPlace {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly tls: boolean
  readonly database: number
}

function parseRedisUrl(text: string): RedisPlace {
  const url = URL.parse(text)
  const database = Number(url?.pathname.slice(1) ?? 0)
  const isRedis = url?.protocol === 'redis:' || url?.protocol === 'rediss:'
  if (!url || !isRedis || url.hostname === '' || !Number.isInteger(database)) {
    throw new OperatingError('CONFIG_INVALID', 'read the url of a Redis: redis://HOST:PORT')
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? portDefault : Number(url.port),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    tls: url.protocol === 'rediss:',
    database,
  }
}
