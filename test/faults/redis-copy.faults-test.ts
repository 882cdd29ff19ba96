/**
 * A copy in Redis before a primary, while Redis is killed, paused, flushed and cut off, and owners
 * come and go, from a seed. Whoever reads, owner, former owner or neither, sees every commit that
 * was answered before the read began.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { openServiceProxy } from '../../scripts/service-proxy.ts'
import { hasRedis, startRedis } from '../../scripts/service-redis.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { createSeededRandom, systemRandom } from '../../src/lib/random.ts'
import { createCopiedStateStore } from '../../src/state/copied-state-store.ts'
import { createMemoryStateStore } from '../../src/state/memory-state-store.ts'
import { openRedisStateCopy } from '../../src/state/redis-state-copy.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import type { Change, StateStore } from '../../src/state/state-store.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const runMs = 40_000
const leaseMs = 700
const beginPauseMs = 30
const keyCount = 20
const deps = { clock: systemClock, logger: silentLogger, random: systemRandom }

for (const seed of [1, 2]) {
  it(`shows every commit that was answered, seed ${seed}`, { skip }, async (t) => {
    const random = createSeededRandom(seed)
    const service = await startRedis()
    t.after(() => service.stop())
    const [node] = service.nodes
    const port = Number(service.addresses[0]?.split(':')[1])
    const proxy = await openServiceProxy(port)
    t.after(() => proxy.close())
    const primary = createMemoryStateStore()
    // A primary that takes its time, so that reads and commits overlap.
    const slow: StateStore = {
      ...primary,
      async get(partition, keys) {
        await systemClock.sleep(random.unit() * 3)
        const values = await primary.get(partition, keys)
        await systemClock.sleep(random.unit() * 3)
        return values
      },
      async commit(commits) {
        await systemClock.sleep(random.unit() * 3)
        const answers = await primary.commit(commits)
        await systemClock.sleep(random.unit() * 3)
        return answers
      },
    }
    // One of them loses its way to Redis while the others have theirs.
    const stores = await Promise.all(
      [proxy.port, port, port].map((each) => openStore(t, slow, each)),
    )
    /** Newest value of each key whose commit was answered. */
    const answered = new Array<number>(keyCount).fill(0)
    const stop = new AbortController()
    let [commitCount, readCount, ownerCount] = [0, 0, 0]

    const readOn = async (store: StateStore, pauseMsMax: number): Promise<void> => {
      while (!stop.signal.aborted) {
        const keys = answered.map((_, key) => `k/${key}`).filter(() => random.unit() < 0.3)
        const least = keys.map((key) => answered[Number(key.slice(2))] ?? 0)
        const values = await store.get(0, keys)
        for (const [at, value] of values.entries()) {
          const seen = Number(value === undefined ? 0 : Buffer.from(value))
          assert(seen >= (least[at] ?? 0), `${keys[at]} was ${least[at]}, read ${seen}`)
          readCount++
        }
        await systemClock.sleep(random.unit() * pauseMsMax)
      }
    }

    const ownOn = async (): Promise<void> => {
      for (let epoch = 1; !stop.signal.aborted; epoch++) {
        const store = stores[Math.floor(random.unit() * stores.length)] as StateStore
        const nonce = `n${epoch}`
        assert.equal(await store.acquire(0, epoch, nonce), 'acquired')
        ownerCount++
        let { offset } = await primary.head(0)
        const commits = Math.floor(random.unit() * 50)
        for (let count = 0; count < commits && !stop.signal.aborted; count++) {
          const picked = answered.map((_, key) => key).filter(() => random.unit() < 0.2)
          const value = ++commitCount
          const changes: Change[] = picked.map((key) => ({
            key: `k/${key}`,
            value: Buffer.from(`${value}`),
          }))
          // Now and then the offset stays where it is.
          const next = random.unit() < 0.2 ? offset : offset + 1
          const given = { epoch, nonce, previousOffset: offset, offset: next, changes }
          assert.deepEqual(await store.commit([aCommit(given)]), ['committed'])
          offset = next
          for (const key of picked) answered[key] = value
          await systemClock.sleep(random.unit() * 4)
        }
        if (random.unit() < 0.5) await store.release(0, epoch, nonce)
      }
    }

    const harmOn = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        await systemClock.sleep(random.unit() * 600, stop.signal)
        const kind = Math.floor(random.unit() * 8)
        if (kind === 0) await service.command(0, 'FLUSHALL')
        if (kind === 1) proxy.cut()
        if (kind === 2) {
          await node?.stop('SIGKILL')
          await systemClock.sleep(random.unit() * 600)
          await node?.start()
        }
        if (kind === 3) {
          await node?.pause()
          await systemClock.sleep(random.unit() * 1500)
          node?.signal('SIGCONT')
        }
        if (kind === 4) {
          proxy.holdRequests()
          await systemClock.sleep(random.unit() * 800)
          proxy.cut()
          proxy.deliver()
        }
        if (kind >= 6) {
          proxy.retarget(undefined)
          proxy.cut()
          await systemClock.sleep(random.unit() * 1500)
          proxy.retarget(port)
        }
        if (kind === 5) {
          proxy.holdAnswers()
          await systemClock.sleep(random.unit() * 800)
          proxy.cut()
        }
      }
    }

    const running = [
      ownOn(),
      harmOn(),
      ...stores.flatMap((store) => [readOn(store, 8), readOn(store, 60)]),
    ]
    const ended = Promise.all(running)
    await Promise.race([ended, systemClock.sleep(runMs)])
    stop.abort()
    await ended
    t.diagnostic(`${commitCount} commits by ${ownerCount} owners, ${readCount} values read`)
    assert(commitCount > 500 && ownerCount > 5 && readCount > 5000)
  })
}

async function openStore(t: TestContext, primary: StateStore, port: number): Promise<StateStore> {
  const urls = [`redis://127.0.0.1:${port}`]
  const copy = await openRedisStateCopy(deps, { urls, callMsMax: 250, connectMsMax: 2000 })
  const store = createCopiedStateStore({ ...deps, primary, copy }, { leaseMs, beginPauseMs })
  t.after(() => store.close())
  return store
}
