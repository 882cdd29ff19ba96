/**
 * Brings, starts and ends the real servers that Attune can run on, without Docker.
 *
 *     node scripts/services.ts fetch                      Kafka, DynamoDB Local, a Singer tap
 *     node scripts/services.ts up --kafka 3 --redis       leaves them running, prints addresses
 *     node scripts/services.ts status --json
 *     node scripts/services.ts down
 *
 * One process in the background holds what `up` started, and ends it when it is told to. What it
 * holds is in a file of the service cache. `down` ends exactly those processes: a number that
 * belongs to another program by now is left alone. Tests do not need this: each starts its own.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { systemClock } from '../src/lib/clock.ts'
import type { Service } from './service.ts'
import { hasProgram, serviceCacheFolder } from './service-cache.ts'
import { dynamodbIsMissing, fetchDynamodb, hasDynamodb, startDynamodb } from './service-dynamodb.ts'
import { fetchKafka, hasKafka, kafkaIsMissing, startKafka } from './service-kafka.ts'
import { hasRedis, startRedis } from './service-redis.ts'
import { fetchSinger } from './service-singer.ts'

interface Wanted {
  readonly kafka?: 1 | 3
  readonly redis?: true
  readonly redisCluster?: true
  readonly dynamodb?: true
}

interface HeldProcess {
  readonly pid: number
  /** As the system shows it, so that another program with this number is told apart. */
  readonly command: string
}

interface Held {
  readonly holder: HeldProcess
  readonly services: readonly {
    readonly name: string
    readonly addresses: readonly string[]
    readonly processes: readonly HeldProcess[]
    readonly folder: string
  }[]
}

const upMsMax = 120_000
const downMsMax = 30_000
const lookMs = 100
const removeTriesMax = 5
const redisClusterNodeCount = 6
const redisIsMissing = 'redis-server is not here; install it, for example apt-get install redis'

function statePath(): string {
  return join(serviceCacheFolder(), 'running.json')
}

function readHeld(): Held | undefined {
  if (!existsSync(statePath())) return undefined
  return JSON.parse(readFileSync(statePath(), 'utf8')) as Held
}

/** Returns the command line of a process, empty where there is none. */
function commandOf(pid: number): string {
  return spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
}

function isSame({ pid, command }: HeldProcess): boolean {
  return command !== '' && commandOf(pid) === command
}

function fetchAll(): void {
  fetchTap()
  if (!hasProgram('mvn')) {
    const says = 'Maven (mvn) is not here, and Kafka and DynamoDB Local come by it.'
    if (process.env['CI'] === 'true') throw new Error(says)
    console.error(`${says} Their tests will be skipped.`)
    return
  }
  console.log(`Kafka: ${fetchKafka()}`)
  console.log(`DynamoDB Local: ${fetchDynamodb()}`)
  if (!hasProgram('java')) console.error('Java is not here; both need Java 17 or newer to run.')
}

function fetchTap(): void {
  if (hasProgram('python3')) {
    console.log(`Singer tap: ${fetchSinger()}`)
    return
  }
  const says = 'Python (python3 with pip) is not here, and the Singer tap comes by it.'
  if (process.env['CI'] === 'true') throw new Error(says)
  console.error(`${says} Its test will be skipped.`)
}

function missingOf(wanted: Wanted): readonly string[] {
  return [
    ...(wanted.kafka !== undefined && !hasKafka() ? [kafkaIsMissing] : []),
    ...((wanted.redis || wanted.redisCluster) && !hasRedis() ? [redisIsMissing] : []),
    ...(wanted.dynamodb && !hasDynamodb() ? [dynamodbIsMissing] : []),
  ]
}

async function up(wanted: Wanted, isJson: boolean): Promise<void> {
  const held = readHeld()
  if (held && isSame(held.holder)) throw new Error('Services are up already: see status, or down.')
  if (held) endLeft(held)
  const missing = missingOf(wanted)
  if (missing.length > 0) throw new Error(missing.join('\n'))
  mkdirSync(serviceCacheFolder(), { recursive: true })
  const logPath = join(serviceCacheFolder(), 'running.log')
  const output = openSync(logPath, 'w')
  const holder = spawn(
    process.execPath,
    [fileURLToPath(import.meta.url), 'hold', JSON.stringify(wanted)],
    { detached: true, stdio: ['ignore', output, output] },
  )
  holder.unref()
  const deadlineMs = systemClock.monotonicMs() + upMsMax
  for (;;) {
    const started = readHeld()
    if (started?.holder.pid === holder.pid) return show(started, isJson)
    if (holder.exitCode !== null || systemClock.monotonicMs() > deadlineMs) {
      holder.kill('SIGTERM')
      throw new Error(`The services did not start:\n${readFileSync(logPath, 'utf8')}`)
    }
    await systemClock.sleep(lookMs)
  }
}

/** Starts what is wanted and holds it until it is told to end; what `up` leaves behind. */
async function hold(wanted: Wanted): Promise<void> {
  const told = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => told.resolve())
  const services: Service[] = []
  try {
    if (wanted.kafka) {
      const options = { brokers: wanted.kafka, isLongLived: true }
      services.push(await startKafka(undefined, options))
    }
    if (wanted.redis) services.push(await startRedis())
    if (wanted.redisCluster) {
      services.push(await startRedis({ clusterNodes: redisClusterNodeCount }))
    }
    if (wanted.dynamodb) services.push(await startDynamodb({ isLongLived: true }))
    const held: Held = {
      holder: { pid: process.pid, command: commandOf(process.pid) },
      services: services.map(({ name, addresses, nodes, folder }) => {
        const processes = nodes.map(({ pid }) => ({ pid, command: commandOf(pid) }))
        return { name, addresses, processes, folder }
      }),
    }
    writeFileSync(statePath(), JSON.stringify(held, null, 2))
    const awake = new AbortController()
    const staying = stayAwake(awake.signal)
    await told.promise
    awake.abort()
    await staying
  } finally {
    await Promise.allSettled(services.map((service) => service.stop()))
    rmSync(statePath(), { force: true })
  }
}

/** A process that only waits for a signal would end by itself. */
async function stayAwake(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await systemClock.sleep(60_000, signal)
}

async function down(): Promise<void> {
  const held = readHeld()
  if (held === undefined) {
    console.log('Nothing is up.')
    return
  }
  if (isSame(held.holder)) {
    process.kill(held.holder.pid, 'SIGTERM')
    const deadlineMs = systemClock.monotonicMs() + downMsMax
    while (isSame(held.holder)) {
      if (systemClock.monotonicMs() > deadlineMs) {
        throw new Error(`Process ${held.holder.pid} does not end.`)
      }
      await systemClock.sleep(lookMs)
    }
  }
  endLeft(held)
  console.log('All services are down.')
}

/** Ends what a holder that was killed left behind, and removes its files. */
function endLeft(held: Held): void {
  for (const { processes, folder } of held.services) {
    for (const one of processes) if (isSame(one)) process.kill(one.pid, 'SIGKILL')
    // What was killed may write its last file meanwhile.
    rmSync(folder, { recursive: true, force: true, maxRetries: removeTriesMax })
  }
  rmSync(statePath(), { force: true })
}

function show(held: Held | undefined, isJson: boolean): void {
  const services = (held?.services ?? []).map(({ name, addresses, processes }) => {
    const isUp = processes.every(isSame)
    return { name, addresses, pids: processes.map(({ pid }) => pid), isUp }
  })
  if (isJson) console.log(JSON.stringify({ services }))
  else if (services.length === 0) console.log('Nothing is up.')
  for (const { name, addresses, isUp } of isJson ? [] : services) {
    console.log(`${name.padEnd(10)} ${isUp ? 'up  ' : 'DOWN'} ${addresses.join(',')}`)
  }
}

function parseBrokerCount(text: string): 1 | 3 {
  if (text !== '1' && text !== '3') throw new InvalidArgumentError('It is 1 or 3.')
  return text === '1' ? 1 : 3
}

function parseWanted(text: string): Wanted {
  return JSON.parse(text) as Wanted
}

function createProgram(): Command {
  const program = new Command('services')
  program
    .description('Real servers for tests and trials on this machine, without Docker.')
    .addHelpText(
      'after',
      '\nFirst `fetch`, once. Then `up`, for example `up --kafka 1 --redis`; `down` when done.\n' +
        'Files come into $ATTUNE_SERVICE_CACHE, else ~/.cache/attune/services.\n\n' +
        'Where Docker is, compose.yaml has the same servers, and Attune in its roles:\n' +
        '`docker compose up --build --wait`.',
    )
  program
    .command('fetch')
    .description(
      'bring Kafka and DynamoDB Local by Maven, a Singer tap by pip, unless they are here',
    )
    .action(fetchAll)
  program
    .command('up')
    .description('start servers and leave them running; all kinds of one, unless some are named')
    .option('--kafka <brokers>', '1 or 3 brokers', parseBrokerCount)
    .option('--redis', 'one Redis')
    .option('--redis-cluster', `a Redis cluster of ${redisClusterNodeCount} nodes`)
    .option('--dynamodb', 'DynamoDB Local')
    .option('--json', 'print JSON')
    .action(async ({ json, ...wanted }: Wanted & { json?: true }) => {
      const all: Wanted = { kafka: 1, redis: true, dynamodb: true }
      await up(Object.keys(wanted).length > 0 ? wanted : all, json ?? false)
    })
  program.command('down').description('end what `up` started, and remove its files').action(down)
  program
    .command('status')
    .description('tell what is up, and where')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: true }) => show(readHeld(), json ?? false))
  program
    .command('hold', { hidden: true })
    .argument('<wanted>')
    .action((wanted: string) => hold(parseWanted(wanted)))
  return program
}

try {
  await createProgram().parseAsync()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
