/** A deployment on one machine, a broker of Kafka, and a config of where it is to go. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Service } from '../../scripts/service.ts'
import { startKafka } from '../../scripts/service-kafka.ts'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  type ServerProcessOptions,
} from '../faults/server-process.ts'
import { writeSmallShop } from '../faults/small-shop.ts'
import { runCommand } from './run-command.ts'

export interface MoveWorldOptions {
  readonly partitionCount: number
  /** Of the shop's campaign. */
  readonly wait: string
  /** Where the state is to go: its service, and what a config says of it. */
  startState(): Promise<Service>
  stateConfig(address: string): Readonly<Record<string, unknown>>
}

export async function openMoveWorld(t: TestContext, given: MoveWorldOptions) {
  // What is open when something fails would keep the test alive, with nobody told of the failure.
  const closers: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closers.toReversed()) await close()
  })
  const folder = await mkdtemp(join(tmpdir(), 'attune-move-'))
  closers.push(() => rm(folder, { recursive: true, force: true }))
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
  closers.push(() => catcher.close())
  const kafka = await startKafka()
  closers.push(() => kafka.stop())
  const state = await given.startState()
  closers.push(() => state.stop())
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir, { wait: given.wait, without: ['at-once'] })
  const dataDir = join(folder, 'data')
  const partitions = ['--partitions', String(given.partitionCount)]
  const init = await runCommand(['init', '--data-dir', dataDir, ...partitions])
  assert.equal(init.code, 0, init.stderr)
  const configPath = join(folder, 'target.json')
  const config = {
    log: { kind: 'kafka' },
    kafka: { brokers: kafka.addresses.join(), replicationFactor: 1, minInSyncReplicas: 1 },
    ...given.stateConfig(state.addresses[0] ?? ''),
  }
  await writeFile(configPath, JSON.stringify(config))
  const world = { folder, dataDir, definitionsDir, configPath, catcher, smtpPort: catcher.port }
  const openServer = async (
    options: Pick<ServerProcessOptions, 'environment' | 'failpoint'> = {},
  ): Promise<ServerProcess> => {
    const server = await openServerProcess({ ...world, ...options, port: await freePort() })
    closers.push(async () => server.signal('SIGKILL'))
    return server
  }
  return { ...world, openServer }
}

export type MoveWorld = Awaited<ReturnType<typeof openMoveWorld>>
