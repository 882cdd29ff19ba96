/**
 * A whole deployment on this machine: real Kafka, real Redis or DynamoDB Local, one process that
 * takes events, and workers that come and go, each a process of its own.
 *
 * The load client and the mail catcher live in the test's process, so they survive every fault and
 * know what was really answered and what really arrived. Every test ends with `settle` and
 * `examine`: nothing that was acknowledged is lost, and nothing was done twice.
 */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Service } from '../../scripts/service.ts'
import { hasDynamodb, startDynamodb } from '../../scripts/service-dynamodb.ts'
import {
  hasKafka,
  type KafkaServiceOptions,
  kafkaIsMissing,
  startKafka,
} from '../../scripts/service-kafka.ts'
import { hasRedis, type RedisService, startRedis } from '../../scripts/service-redis.ts'
import { type MailCatcher, openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { openStateStore } from '../../src/command/open-stores.ts'
import { type StoreOptions, storeOptionsOf } from '../../src/command/store-options.ts'
import { parseServerConfig } from '../../src/config.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { variableOf } from '../../src/lib/parse-config.ts'
import type { Head, StateStore } from '../../src/state/state-store.ts'
import {
  type ClusterProcess,
  openClusterProcess,
  runAttune,
  type Settings,
} from './cluster-process.ts'
import { openClusterProxy } from './cluster-proxy.ts'
import {
  type ClusterExamined,
  examineCluster,
  readHeads,
  untilClusterQuiet,
} from './cluster-verify.ts'
import { type LoadClient, startLoad } from './load-client.ts'
import { freePort } from './server-process.ts'
import { writeSmallShop } from './small-shop.ts'
import { compareWithSeen, countStates } from './verify-data-dir.ts'

export interface ClusterOptions {
  readonly kafka?: KafkaServiceOptions
  /** Redis unless said. */
  readonly state?: 'redis' | 'dynamodb' | 'dynamodb-redis'
  /** A Redis that the test has started, instead of one of the deployment's own. */
  readonly redis?: RedisService
  /** Each piece of a hand-over takes so much longer, so that some are always under way. */
  readonly smtpDelayMs?: number
  readonly settings?: Settings
  /**
   * Folder of another program than this one, for instance of a copy that is broken on purpose;
   * `ATTUNE_TEST_ROOT` says the same.
   */
  readonly root?: string
}

export interface Cluster {
  readonly kafka: Service
  readonly redis: RedisService | undefined
  readonly dynamodb: Service | undefined
  readonly catcher: MailCatcher
  readonly front: ClusterProcess
  readonly stores: StoreOptions
  readonly dataDir: string
  /** What a worker brings that has definitions. */
  readonly definitionsDir: string
  /** All that were started, the front among them. */
  readonly processes: readonly ClusterProcess[]
  /** Starts a worker; the first brings the definitions, as does one that is told to. */
  startWorker(given?: {
    readonly settings?: Settings
    readonly hasDefinitions?: boolean
  }): Promise<ClusterProcess>
  startRole(role: 'collect' | 'api'): Promise<ClusterProcess>
  /** Begins to send events to the front. */
  startLoad(ratePerSecond: number, seed: number): LoadClient
  /** The heads of all partitions now. */
  heads(): Promise<readonly Head[]>
  /** Waits until all is acknowledged, folded and sent; checks that no process ended by itself. */
  settle(): Promise<void>
  /** Examines the stores; findings name every promise that was broken. */
  examine(): Promise<ClusterResult>
}

export interface ClusterResult {
  readonly examined: ClusterExamined
  readonly findings: readonly string[]
  readonly states: Readonly<Record<string, number>>
}

/** Why the tests cannot run here, or undefined. */
export const clusterIsMissing = hasKafka()
  ? hasRedis()
    ? undefined
    : 'redis-server is not here'
  : kafkaIsMissing
export const hasDynamodbHere = hasDynamodb()

export const partitionCount = 8
const batchCount = 12
const repeatShare = 0.1
const finishMsMax = 90_000
/** A message that could not be handed over is tried again after a minute. */
const quietMsMax = 120_000

type Closers = (() => unknown)[]

/** Starts everything but workers and front; a test ends all of it with itself. */
export async function openCluster(
  t: Pick<TestContext, 'after'>,
  options: ClusterOptions = {},
): Promise<Cluster> {
  const closers: Closers = []
  t.after(async () => {
    for (const close of closers.reverse()) await close()
  })
  const folder = await mkdtemp(join(tmpdir(), 'attune-cluster-'))
  closers.push(() => rm(folder, { recursive: true, force: true }))
  const definitionsDir = join(folder, 'shop')
  await mkdir(definitionsDir)
  await writeSmallShop(definitionsDir)
  const dataDir = join(folder, 'data')
  const services = await startServices(options, closers)
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0, mailCountMax: 100 })
  closers.push(() => catcher.close())
  const smtp = await openClusterProxy(catcher.port)
  smtp.delay(options.smtpDelayMs ?? 0)
  closers.push(() => smtp.close())
  const publicPort = await freePort()
  const settings: Settings = {
    ...services.settings,
    'server.dataDir': dataDir,
    'server.publicUrl': `http://127.0.0.1:${publicPort}`,
    'delivery.from': 'Shop <hello@shop.example>',
    'delivery.smtpUrl': `smtp://127.0.0.1:${smtp.port}`,
    'recommend.eventCountMax': '10000',
    ...options.settings,
  }
  const parameters = ['init', '--data-dir', dataDir, '--partitions', String(partitionCount)]
  await runAttune({ name: 'init', parameters, settings })
  const root = options.root ?? process.env['ATTUNE_TEST_ROOT']
  const given = { settings, definitionsDir, publicPort, root }
  return createCluster({ ...services, catcher, dataDir }, given, closers)
}

interface Services {
  readonly kafka: Service
  readonly redis: RedisService | undefined
  readonly dynamodb: Service | undefined
  readonly settings: Settings
}

async function startServices(options: ClusterOptions, closers: Closers): Promise<Services> {
  const { state = 'redis' } = options
  const kept = <Opened extends Service>(service: Opened): Opened => {
    closers.push(() => service.stop())
    return service
  }
  const [kafka, redis, dynamodb] = await Promise.all([
    startKafka(undefined, options.kafka).then(kept),
    state === 'dynamodb' ? undefined : (options.redis ?? startRedis().then(kept)),
    state === 'redis' ? undefined : startDynamodb().then(kept),
  ])
  const copies = kafka.nodes.length
  const settings: Settings = {
    'log.kind': 'kafka',
    'kafka.brokers': kafka.addresses.join(),
    'kafka.replicationFactor': String(copies),
    'kafka.minInSyncReplicas': String(Math.min(2, copies)),
    'state.kind': state,
    ...(redis === undefined ? {} : { 'redis.urls': `redis://${redis.addresses[0]}` }),
    ...(dynamodb === undefined
      ? {}
      : { 'dynamodb.region': 'local', 'dynamodb.endpoint': `http://${dynamodb.addresses[0]}` }),
  }
  return { kafka, redis, dynamodb, settings }
}

interface Given {
  readonly settings: Settings
  readonly definitionsDir: string
  readonly publicPort: number
  readonly root: string | undefined
}

function createCluster(
  world: Omit<Services, 'settings'> & Pick<Cluster, 'catcher' | 'dataDir'>,
  { settings, definitionsDir, publicPort, root }: Given,
  closers: Closers,
): Cluster {
  const processes: ClusterProcess[] = []
  const stores = storeOptionsFrom(settings)
  let front: ClusterProcess | undefined
  let load: LoadClient | undefined
  let reader: StateStore | undefined
  const openReader = async (): Promise<StateStore> => {
    const deps = { clock: systemClock, logger: silentLogger }
    const opened = await openStateStore(deps, stores.state, { isReader: true })
    closers.push(() => opened.close())
    return opened
  }
  const start = async (
    role: string,
    port: number,
    more: readonly string[],
    own: Settings,
  ): Promise<ClusterProcess> => {
    const name = `${role} ${processes.length}`
    const parameters = ['start', '--role', role, '--port', String(port), ...more]
    const opened = await openClusterProcess({
      ...{ name, parameters, root },
      settings: { ...settings, ...own },
    })
    processes.push(opened)
    closers.push(() => opened.kill())
    return opened
  }
  const started = (): ClusterProcess => {
    assert(front !== undefined, 'the front was started')
    return front
  }
  return {
    ...world,
    ...{ stores, definitionsDir },
    processes,
    get front() {
      return started()
    },
    async startWorker({ settings: own = {}, hasDefinitions } = {}) {
      const isFirst = !processes.some(({ name }) => name.startsWith('work'))
      const brings = hasDefinitions ?? isFirst
      return await start('work', 0, brings ? ['--definitions', definitionsDir] : [], own)
    },
    async startRole(role) {
      const opened = await start(role, role === 'collect' ? publicPort : 0, [], {})
      if (role === 'collect') front = opened
      return opened
    },
    startLoad(ratePerSecond, seed) {
      const port = Number(new URL(started().url).port)
      load = startLoad({ port, ratePerSecond, seed, batchCount, repeatShare })
      const { finish } = load
      closers.push(() => finish(AbortSignal.abort()))
      return load
    },
    async heads() {
      reader ??= await openReader()
      return await readHeads(reader, partitionCount)
    },
    async settle() {
      await load?.finish(AbortSignal.timeout(finishMsMax))
      await untilClusterQuiet(stores, quietMsMax).catch((error: unknown) => {
        throw new Error(`${error}\n${wordsOf(processes)}`)
      })
      for (const each of processes) {
        const isRight = !each.hasEnded || each.isEndExpected
        assert.ok(isRight, `${each.name} ended by itself:\n${each.lastWords()}`)
      }
    },
    async examine() {
      const examined = await examineCluster(stores)
      const { acknowledged = [], triggered = [] } = load ?? {}
      const seen = { acknowledged, triggered, mails: world.catcher.messageIds() }
      const findings = [...examined.findings, ...compareWithSeen(examined, seen)]
      tellHistories(examined, findings)
      return { examined, findings, states: countStates(examined) }
    },
  }
}

function tellHistories({ histories }: ClusterExamined, findings: readonly string[]): void {
  for (const finding of findings) {
    const messageId = /^message (\S+)/.exec(finding)?.[1] ?? ''
    const history = histories.get(messageId)
    if (history !== undefined) console.log([finding, ...history].join('\n  '))
  }
}

function wordsOf(processes: readonly ClusterProcess[]): string {
  const living = processes.filter(({ hasEnded }) => !hasEnded)
  return living.map((each) => `--- ${each.name}\n${each.lastWords()}`).join('\n')
}

function storeOptionsFrom(settings: Settings): StoreOptions {
  const environment = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [variableOf(name), value]),
  )
  const parsed = parseServerConfig({ environment, flags: {} })
  assert(parsed.kind === 'config', JSON.stringify(parsed))
  return storeOptionsOf(parsed.values)
}

/** Prints what a scenario measured, as one line of JSON. */
export function tell(name: string, figures: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify({ name, ...figures }))
}

/** Returns the figures that every scenario shows. */
export function figuresOf(
  cluster: Cluster,
  load: LoadClient,
  { examined, states }: ClusterResult,
): Readonly<Record<string, unknown>> {
  return {
    acknowledged: load.acknowledged.size,
    statuses: Object.fromEntries(load.statuses),
    mails: cluster.catcher.messageIds().size,
    states,
    refusals: reasonsOf(examined),
    log: examined.log,
  }
}

function reasonsOf({ messages }: ClusterExamined): Readonly<Record<string, number>> {
  const reasons: Record<string, number> = {}
  for (const { state, campaign } of messages.values()) {
    if (state.kind !== 'refused') continue
    const name = `${campaign}: ${state.reason}`
    reasons[name] = (reasons[name] ?? 0) + 1
  }
  return reasons
}

/** Waits until something is so; rejects after `msMax`. Returns how long it took. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  msMax: number,
): Promise<number> {
  const beganAt = systemClock.monotonicMs()
  while (!(await isSo())) {
    assert.ok(systemClock.monotonicMs() - beganAt < msMax, `${what}: not after ${msMax} ms`)
    await systemClock.sleep(50)
  }
  return systemClock.monotonicMs() - beganAt
}
