/**
 * Kinesalite, which speaks as Kinesis does, for tests, trials and the demo.
 *
 * It comes with the packages, keeps its streams in memory, and speaks HTTP/1.1 only. It knows
 * shards, splits, merges and retention; it knows no throttling, refuses no record of a request
 * alone, and says of every answer that it is at the tip. Its clock can be moved on, so that records
 * grow older than the retention.
 */

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, freePorts, type Service } from './service.ts'

export interface KinesisServiceOptions {
  /** Open shards of all streams together. */
  readonly shardCountMax?: number
  /** How long a stream stays in the making. */
  readonly changeMs?: number
}

export interface KinesisService extends Service {
  /** Lets the server's clock jump `skipMs` forward. */
  skipTime(): void
}

/** One jump of the server's clock: two are longer than it keeps anything, which is 7 days. */
export const skipMs = 5 * 86_400_000

const host = '127.0.0.1'
const require = createRequire(import.meta.url)

/** Skip reason for tests where the package is missing. */
export const kinesisIsMissing = 'kinesalite is not here; run npm ci'

/** The client wants some; the server takes any. */
export const kinesisEnvironment = { AWS_ACCESS_KEY_ID: 'attune', AWS_SECRET_ACCESS_KEY: 'attune' }

/** Tells whether `startKinesis` can start. */
export function hasKinesis(): boolean {
  return existsSync(new URL('../node_modules/kinesalite/index.js', import.meta.url))
}

/**
 * Starts a server with streams of its own. Its endpoint is `http://` and its only address. Clients
 * in this process, and in those it starts, find credentials in the environment from now on.
 */
export async function startKinesis(options: KinesisServiceOptions = {}): Promise<KinesisService> {
  Object.assign(process.env, kinesisEnvironment)
  const folder = mkdtempSync(join(tmpdir(), 'attune-kinesis-'))
  const [port = 0] = await freePorts(1)
  const node = createNode({
    name: 'kinesis',
    program: process.execPath,
    parameters: ['--no-deprecation', '--eval', programOf(port, options)],
    folder,
    ports: [port],
  })
  const service: KinesisService = {
    name: 'kinesis',
    folder,
    addresses: [`${host}:${port}`],
    nodes: [node],
    skipTime: () => node.signal('SIGUSR2'),
    async stop() {
      await node.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await node.start()
  } catch (error) {
    await service.stop()
    throw error
  }
  return service
}

function programOf(port: number, options: KinesisServiceOptions): string {
  const { shardCountMax = 1000, changeMs = 20 } = options
  const times = { createStreamMs: changeMs, deleteStreamMs: changeMs, updateStreamMs: changeMs }
  const given = { ...times, shardLimit: shardCountMax }
  return `
    const now = Date.now
    let shiftMs = 0
    Date.now = () => now() + shiftMs
    process.on('SIGUSR2', () => { shiftMs += ${skipMs} })
    const kinesalite = require(${JSON.stringify(require.resolve('kinesalite'))})
    kinesalite(${JSON.stringify(given)}).listen(${port}, '${host}')
  `
}
