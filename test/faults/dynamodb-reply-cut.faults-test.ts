/**
 * A network between us and DynamoDB that cuts connections: before the request arrives, after it was
 * applied and before its answer, in the middle of the answer. And a server that is killed and comes
 * back with its tables and without the request tokens it remembered. The owner only repeats what
 * was not answered; the state must be what a plain map holds.
 */

import assert from 'node:assert/strict'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { OperatingError } from '../../src/lib/errors.ts'
import { createSeededRandom, type Random } from '../../src/lib/random.ts'
import {
  type DynamodbWorld,
  openStore,
  startDynamodbWorld,
} from '../../src/state/dynamodb-world.fixture.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import type { CommitAnswer, PartitionCommit, StateStore } from '../../src/state/state-store.ts'
import { change, partition, stateAfter } from './dynamodb-harness.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261123)
const stepCount = 60
const requestCutRatio = 0.05
const answerCutRatio = 0.25
let world: DynamodbWorld

describe('a cut network', { skip: hasDynamodb() ? false : dynamodbIsMissing }, () => {
  before(async () => {
    console.log(`seed ${seed} (ATTUNE_TEST_SEED)`)
    world = await startDynamodbWorld(true)
  })
  after(() => world.stop())

  it('keeps each commit once where answers are lost', async (t) => {
    const random = createSeededRandom(seed)
    const proxy = await startProxy(t, random)
    const options = await world.makeTables()
    const limits = { retryMsMax: 60, requestMsMax: 1000 }
    const endpoint = `http://127.0.0.1:${proxy.port}`
    const store = await openStore(t, { ...options, ...limits, endpoint })
    const reader = await openStore(t, options)
    proxy.isCutting = true
    const unclearCount = await commitMany({ store, reader, random })
    assert.ok(proxy.cutCount > 30, `only ${proxy.cutCount} cuts`)
    t.diagnostic(`${proxy.cutCount} connections cut, ${unclearCount} commits unclear at first`)
  })

  it('keeps each commit once where the server is killed', async (t) => {
    const random = createSeededRandom(seed + 1)
    const options = await world.makeTables()
    const store = await openStore(t, { ...options, retryMsMax: 400, requestMsMax: 1000 })
    const reader = await openStore(t, { ...options, retryMsMax: 15_000 })
    const [node] = world.service.nodes
    let isOver = false
    let killCount = 0
    const kill = async (): Promise<void> => {
      while (!isOver && killCount < 8) {
        await systemClock.sleep(300 + random.unit() * 900)
        await node?.stop('SIGKILL')
        killCount++
        await node?.start()
      }
    }
    const killing = kill()
    const unclearCount = await commitMany({ store, reader, random: createSeededRandom(seed + 2) })
    isOver = true
    await killing
    assert.ok(killCount > 1, `only ${killCount} kills`)
    t.diagnostic(`${killCount} kills, ${unclearCount} commits unclear at first`)
  })
})

interface Committing {
  readonly store: StateStore
  /** Behind an undisturbed connection. */
  readonly reader: StateStore
  readonly random: Random
}

/** Commits small and large, repeats what is unclear; returns how many were. */
async function commitMany({ store, reader, random }: Committing): Promise<number> {
  const below = (bound: number): number => Math.floor(random.unit() * bound)
  const pool = Array.from({ length: 240 }, (_, n) => `person/${n}`)
  let state: ReadonlyMap<string, number> = new Map()
  let unclearCount = 0
  await untilTaken(async () => assert.equal(await store.acquire(partition, 1, 'n1'), 'acquired'))
  for (let step = 1; step <= stepCount; step++) {
    const count = step % 4 === 0 ? 100 + below(140) : 1 + below(30)
    const start = below(pool.length)
    const changes = Array.from({ length: count }, (_, n) =>
      change(pool[(start + n) % pool.length] ?? '', below(4) === 0 ? undefined : step),
    )
    const lastRecordId = `r${step}`
    const commit = aCommit({ previousOffset: step - 1, offset: step, lastRecordId, changes })
    const { answer, isUnclear } = await commitUntilAnswered(store, commit)
    const says = `seed ${seed}, step ${step}`
    assert.equal(answer, 'committed', says)
    if (isUnclear) unclearCount++
    state = stateAfter(state, changes)
    if (step % 5 !== 0) continue
    const entries = await reader.scan(partition, '', '', 1000)
    const found = new Map(entries.map(({ key, value }) => [key, value[0] ?? 0]))
    assert.deepEqual(found, state, says)
  }
  assert.equal((await reader.head(partition)).offset, stepCount)
  return unclearCount
}

async function commitUntilAnswered(
  store: StateStore,
  commit: PartitionCommit,
): Promise<{ readonly answer: CommitAnswer | undefined; readonly isUnclear: boolean }> {
  let tryCount = 0
  const [answer] = await untilTaken(async () => {
    tryCount++
    return await store.commit([commit])
  })
  return { answer, isUnclear: tryCount > 1 }
}

async function untilTaken<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tryCount = 1; ; tryCount++) {
    try {
      return await work()
    } catch (error) {
      const isUnreachable = error instanceof OperatingError && error.code === 'STORE_UNREACHABLE'
      if (!isUnreachable || tryCount === 100) throw error
    }
  }
}

interface Proxy {
  readonly port: number
  readonly cutCount: number
  isCutting: boolean
}

/** Passes bytes on; where it cuts, it chooses where. */
async function startProxy(t: TestContext, random: Random): Promise<Proxy> {
  const target = Number(world.service.addresses[0]?.split(':')[1])
  const sockets = new Set<Socket>()
  const proxy = { port: 0, cutCount: 0, isCutting: false }
  const server: Server = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port: target })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    const cut = (): void => {
      proxy.cutCount++
      client.destroy()
      upstream.destroy()
    }
    // Drawn once for each request and once for each answer, however many pieces they come in.
    let isAsking = false
    client.on('data', (bytes) => {
      const isFirst = !isAsking
      isAsking = true
      if (isFirst && proxy.isCutting && random.unit() < requestCutRatio) cut()
      else upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      const isFirst = isAsking
      isAsking = false
      if (!isFirst || !proxy.isCutting || random.unit() >= answerCutRatio) client.write(bytes)
      else if (random.unit() < 0.5) cut()
      else client.write(bytes.subarray(0, Math.floor(bytes.length / 2)), cut)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  proxy.port = typeof address === 'object' ? (address?.port ?? 0) : 0
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return proxy
}
