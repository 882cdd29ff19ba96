/**
 * A real Redis, or a Redis Cluster of three masters with a replica each, for tests and benchmarks.
 *
 * Every node listens on free ports of the loopback, has a folder of its own, writes its append-only
 * file every second and evicts nothing, as the state store wants it. A node that is stopped and
 * started again has its port and its files back.
 */

import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '../src/lib/clock.ts'
import type { Certificates } from './certificate.ts'
import { createNode, freePorts, type Service, type ServiceNode } from './service.ts'

export interface RedisSettings {
  /** 0 for a single node. */
  readonly clusterNodes?: 0 | 6
  /** Settings of `redis.conf`, over those of this file. */
  readonly settings?: Readonly<Record<string, string>>
  /** Clients, and the nodes of a cluster among themselves, speak TLS and nothing else. */
  readonly tls?: Certificates
}

export interface RedisService extends Service {
  /** Folder of each node, in the order of `nodes`. */
  readonly folders: readonly string[]
  /** Calls `redis-cli` on one node; returns what it prints. */
  command(index: number, ...parameters: readonly string[]): Promise<string>
}

const host = '127.0.0.1'
const cliMsMax = 60_000
const clusterNodeMs = 2000
const pollMs = 100
const pollCountMax = 300
const run = promisify(execFile)

export function hasRedis(): boolean {
  return spawnSync('redis-server', ['--version']).status === 0
}

/** Starts the nodes. A cluster is ready when it resolves: all slots served, replicas linked. */
export async function startRedis(given: RedisSettings = {}): Promise<RedisService> {
  const clusterNodes = given.clusterNodes ?? 0
  const count = Math.max(1, clusterNodes)
  const root = mkdtempSync(join(tmpdir(), 'attune-redis-'))
  const ports = await freePorts(2 * count)
  const folders = Array.from({ length: count }, (_, index) => join(root, `node-${index}`))
  const nodes: ServiceNode[] = []
  const service: RedisService = {
    name: 'redis',
    addresses: ports.slice(0, count).map((port) => `${host}:${port}`),
    nodes,
    folder: root,
    folders,
    async command(index, ...parameters) {
      const place = ['-p', `${ports[index]}`, ...tlsParameters(given.tls)]
      const { stdout } = await run('redis-cli', [...place, ...parameters], { timeout: cliMsMax })
      return stdout.trimEnd()
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop('SIGKILL')))
      rmSync(root, { recursive: true, force: true })
    },
  }
  try {
    for (const [index, folder] of folders.entries()) {
      mkdirSync(folder)
      const [port = 0, busPort = 0] = [ports[index], ports[count + index]]
      const cluster = clusterNodes === 0 ? {} : clusterSettings(busPort)
      const tls = given.tls === undefined ? {} : tlsSettings(port, given.tls)
      const settings = { ...baseSettings(port, folder), ...cluster, ...tls, ...given.settings }
      nodes.push(
        createNode({
          name: `redis ${index}`,
          program: 'redis-server',
          parameters: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
          folder,
          ports: [port],
        }),
      )
    }
    await Promise.all(nodes.map((node) => node.start()))
    if (clusterNodes > 0) await joinCluster(service, ports.slice(count), given.tls)
    return service
  } catch (error) {
    await service.stop()
    throw error
  }
}

/** Waits until `redis-cli` on a node prints what `isReady` accepts. */
export async function untilRedisSays(
  service: RedisService,
  index: number,
  parameters: readonly string[],
  isReady: (said: string) => boolean,
): Promise<void> {
  let said = ''
  for (let count = 0; count < pollCountMax; count++) {
    said = await service.command(index, ...parameters).catch(String)
    if (isReady(said)) return
    await systemClock.sleep(pollMs)
  }
  throw new Error(`redis ${index} still answers ${parameters.join(' ')} with: ${said}`)
}

function baseSettings(port: number, folder: string): Readonly<Record<string, string>> {
  return {
    bind: host,
    port: `${port}`,
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
  }
}

function tlsParameters(tls: Certificates | undefined): readonly string[] {
  return tls === undefined ? [] : ['--tls', '--cacert', tls.caFile]
}

function tlsSettings(port: number, tls: Certificates): Readonly<Record<string, string>> {
  return {
    port: '0',
    'tls-port': `${port}`,
    'tls-key-file': tls.serverKeyFile,
    'tls-cert-file': tls.serverCertFile,
    'tls-ca-cert-file': tls.caFile,
    'tls-auth-clients': 'no',
    'tls-cluster': 'yes',
    'tls-replication': 'yes',
  }
}

function clusterSettings(busPort: number): Readonly<Record<string, string>> {
  return {
    'cluster-enabled': 'yes',
    'cluster-port': `${busPort}`,
    'cluster-node-timeout': `${clusterNodeMs}`,
    'repl-diskless-sync-delay': '0',
  }
}

async function joinCluster(
  service: RedisService,
  busPorts: readonly number[],
  tls: Certificates | undefined,
): Promise<void> {
  const places = service.addresses.map((address, index) => `${address}@${busPorts[index]}`)
  const parameters = ['--cluster', 'create', ...places, '--cluster-replicas', '1', '--cluster-yes']
  await run('redis-cli', [...tlsParameters(tls), ...parameters], { timeout: cliMsMax })
  for (const index of service.addresses.keys()) {
    await untilRedisSays(service, index, ['cluster', 'info'], (said) =>
      /cluster_state:ok[\s\S]*cluster_known_nodes:6/.test(said),
    )
    await untilRedisSays(service, index, ['info', 'replication'], (said) =>
      /role:master[\s\S]*state=online|role:slave[\s\S]*master_link_status:up/.test(said),
    )
  }
}
