/**
 * Apache Kafka as one or three real brokers, for tests, benchmarks and `scripts/services.ts`.
 *
 * Its files come from Maven once (`fetchKafka`), into the service cache. Each node is broker and
 * controller (KRaft). Its storage is formatted before the first start; afterwards it can be killed
 * and started again on the same files. Three brokers keep three copies and want two for an
 * acknowledged append, so that one may be gone. Heaps and logs are small, and a broker that is gone
 * is noticed within 3 s: these settings are for tests, not advice.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Certificates, joinPem } from './certificate.ts'
import { type JavaServiceOptions, javaFlags } from './java-flags.ts'
import { createNode, freePorts, type Service, type ServiceNode } from './service.ts'
import { fetchLibraries, hasProgram, serviceCacheFolder } from './service-cache.ts'

export interface KafkaServiceUser {
  readonly username: string
  readonly password: string
  readonly mechanism?: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
}

export interface KafkaServiceOptions extends JavaServiceOptions {
  /** 1 unless said. */
  readonly brokers?: 1 | 3
  /** Clients must sign in as this user; by PLAIN unless said. */
  readonly sasl?: KafkaServiceUser
  /** Clients speak TLS, and without `sasl` they must show a certificate. */
  readonly tls?: Certificates
  /** One more way in, whose clients are told another port: that of a proxy before it. */
  readonly side?: { readonly port: number; readonly advertisedPort: number }
  /** Further broker settings, over those here. */
  readonly settings?: Readonly<Record<string, string>>
}

const pomPath = fileURLToPath(new URL('kafka/pom.xml', import.meta.url))
/** Any fixed cluster id will do: a cluster lives in folders of its own. */
const clusterId = 'YXR0dW5lLWthZmthLXRlcw'
const host = '127.0.0.1'

/** Skip reason for tests where Kafka's files are missing. */
export const kafkaIsMissing = 'Kafka is not here; run node scripts/services.ts fetch'

/** Tells whether `startKafka` can start. */
export function hasKafka(): boolean {
  return existsSync(libraryFolder()) && hasProgram('java')
}

/** Brings Kafka's files by Maven unless they are here; returns their folder. */
export function fetchKafka(): string {
  return fetchLibraries(pomPath, libraryFolder())
}

/** Starts a cluster with files of its own; a test ends it with itself. */
export async function startKafka(
  t?: Pick<TestContext, 'after'>,
  options: KafkaServiceOptions = {},
): Promise<Service> {
  const brokerCount = options.brokers ?? 1
  const folder = mkdtempSync(join(tmpdir(), 'attune-kafka-'))
  const ports = await freePorts(brokerCount * 3)
  const places = Array.from({ length: brokerCount }, (_, index): NodePlace => {
    const [broker = 0, controller = 0, client = 0] = ports.slice(index * 3)
    return { id: index + 1, folder: join(folder, `node-${index + 1}`), broker, controller, client }
  })
  const nodes = places.map((place) => createKafkaNode(place, options))
  const service: Service = {
    name: 'kafka',
    folder,
    addresses: places.map(
      ({ broker, client }) => `${host}:${options.sasl || options.tls ? client : broker}`,
    ),
    nodes,
    async stop() {
      // Its files go too, so there is nothing to put in order first.
      await Promise.all(nodes.map((node) => node.stop('SIGKILL')))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  t?.after(() => service.stop())
  try {
    await Promise.all(places.map((place) => formatStorage(place, places, options)))
    await Promise.all(nodes.map((node) => node.start()))
  } catch (error) {
    await service.stop()
    throw error
  }
  return service
}

interface NodePlace {
  readonly id: number
  readonly folder: string
  /** Ports. */
  readonly broker: number
  readonly controller: number
  readonly client: number
}

function createKafkaNode(place: NodePlace, options: JavaServiceOptions): ServiceNode {
  return createNode({
    name: `kafka ${place.id}`,
    program: 'java',
    parameters: [
      ...javaParameters(options),
      'kafka.Kafka',
      join(place.folder, 'server.properties'),
    ],
    folder: place.folder,
    ports: [place.broker],
  })
}

async function formatStorage(
  place: NodePlace,
  places: readonly NodePlace[],
  options: KafkaServiceOptions,
): Promise<void> {
  mkdirSync(place.folder, { recursive: true })
  const path = join(place.folder, 'server.properties')
  const settings = { ...settingsOf(place, places, options), ...options.settings }
  writeFileSync(
    path,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const format = ['format', '--cluster-id', clusterId, '--config', path]
  const tool = ['kafka.tools.StorageTool', ...format, ...scramFlags(options)]
  const child = spawn('java', [...javaParameters({}), ...tool], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => said.push(String(chunk)))
  }
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`formatting the storage of Kafka failed:\n${said.join('')}`)
}

function settingsOf(
  place: NodePlace,
  places: readonly NodePlace[],
  { sasl, tls, side }: KafkaServiceOptions,
): Record<string, string> {
  const copies = String(Math.min(3, places.length))
  const inSync = places.length === 1 ? '1' : '2'
  const listeners = [
    `BROKER://${host}:${place.broker}`,
    ...(sasl === undefined && tls === undefined ? [] : [`CLIENT://${host}:${place.client}`]),
  ]
  const sideAt = (port: number | undefined) => (side ? [`SIDE://${host}:${port}`] : [])
  return {
    'process.roles': 'broker,controller',
    'node.id': String(place.id),
    'controller.quorum.voters': places
      .map(({ id, controller }) => `${id}@${host}:${controller}`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    listeners: [
      ...[...listeners, `CONTROLLER://${host}:${place.controller}`],
      ...sideAt(side?.port),
    ].join(','),
    'advertised.listeners': [...listeners, ...sideAt(side?.advertisedPort)].join(','),
    'inter.broker.listener.name': 'BROKER',
    'listener.security.protocol.map': [
      ...['BROKER:PLAINTEXT', 'CONTROLLER:PLAINTEXT', 'SIDE:PLAINTEXT'],
      `CLIENT:${sasl === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`,
    ].join(','),
    ...(sasl === undefined ? {} : saslSettings(sasl)),
    ...(tls === undefined ? {} : tlsSettings(tls, place, sasl === undefined)),
    'log.dirs': join(place.folder, 'data'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': '0',
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'replica.lag.time.max.ms': '5000',
    'controlled.shutdown.enable': 'true',
    'log.cleaner.enable': 'false',
    'num.network.threads': '2',
    'num.io.threads': '2',
    'num.recovery.threads.per.data.dir': '1',
  }
}

/** Users of SCRAM are in the cluster's own log from its first record on. */
function scramFlags({ sasl }: KafkaServiceOptions): readonly string[] {
  const { mechanism = 'PLAIN', username, password } = sasl ?? {}
  if (mechanism === 'PLAIN') return []
  return ['--add-scram', `${mechanism}=[name=${username},password=${password}]`]
}

function saslSettings({
  username,
  password,
  mechanism = 'PLAIN',
}: KafkaServiceUser): Record<string, string> {
  const security = 'org.apache.kafka.common.security'
  const login =
    mechanism === 'PLAIN'
      ? `${security}.plain.PlainLoginModule required user_${username}="${password}";`
      : `${security}.scram.ScramLoginModule required;`
  return {
    'sasl.enabled.mechanisms': mechanism,
    [`listener.name.client.${mechanism.toLowerCase()}.sasl.jaas.config`]: login,
  }
}

function tlsSettings(
  tls: Certificates,
  { folder }: NodePlace,
  needsClient: boolean,
): Record<string, string> {
  const prefix = 'listener.name.client.ssl'
  return {
    [`${prefix}.keystore.type`]: 'PEM',
    [`${prefix}.keystore.location`]: joinPem(
      join(folder, 'server.pem'),
      ...[tls.serverKeyFile, tls.serverCertFile],
    ),
    [`${prefix}.truststore.type`]: 'PEM',
    [`${prefix}.truststore.location`]: tls.caFile,
    [`${prefix}.client.auth`]: needsClient ? 'required' : 'none',
  }
}

function javaParameters(options: JavaServiceOptions): readonly string[] {
  return [...javaFlags(options), '-Dlog4j2.level=WARN', '-cp', join(libraryFolder(), '*')]
}

function libraryFolder(): string {
  const version = /<kafka\.version>([^<]+)</.exec(readFileSync(pomPath, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${pomPath} names no kafka.version`)
  return join(serviceCacheFolder(), `kafka-${version}`)
}
