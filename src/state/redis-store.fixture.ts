/** A state store on a real Redis or Redis Cluster, for tests. */

import type { TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { type Logger, silentLogger } from '../lib/logger.ts'
import { openRedisStateStore, type RedisStateStoreOptions } from './redis-state-store.ts'
import type { StateStore } from './state-store.ts'

/** Opens a store on one address, or on a cluster of several; it is closed behind the test. */
export async function openRedisStore(
  t: Pick<TestContext, 'after'>,
  addresses: readonly string[],
  options: Partial<RedisStateStoreOptions> = {},
  logger: Logger = silentLogger,
): Promise<StateStore> {
  const urls = addresses.map((address) => `redis://${address}`)
  const given = { urls, isCluster: addresses.length > 1, ...options }
  const store = await openRedisStateStore({ clock: systemClock, logger }, given)
  t.after(() => store.close())
  return store
}

/** Resolves when each count is greater than it is now; rejects where one is not in time. */
export async function untilAllGoOn(counts: readonly number[], msMax: number): Promise<void> {
  const before = [...counts]
  const deadlineMs = systemClock.monotonicMs() + msMax
  while (!counts.every((count, at) => count > (before[at] ?? 0))) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`from ${before} only to ${counts}`)
    await systemClock.sleep(10)
  }
}
