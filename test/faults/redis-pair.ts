/**
 * A Redis master and its replica, and a port of the loopback that leads to one of them, as an
 * address does whose owner changes in a failover.
 */

import type { TestContext } from 'node:test'
import { openServiceProxy } from '../../scripts/service-proxy.ts'
import { type RedisService, startRedis, untilRedisSays } from '../../scripts/service-redis.ts'

export interface RedisPair {
  readonly master: RedisService
  readonly replica: RedisService
  /** Leads to the master, until `retarget`. */
  readonly address: string
  /** From now on nothing that the master writes reaches the replica, though their link is up. */
  holdReplication(): void
  /** New connections to the address come to the replica. */
  retarget(): void
  /** Makes the replica a master. */
  promote(): Promise<void>
}

/** Resolves when the replica follows its master. */
export async function openRedisPair(t: Pick<TestContext, 'after'>): Promise<RedisPair> {
  const [master, replica] = await Promise.all([startRedis(), startRedis()])
  const toMaster = await openServiceProxy(portOf(master))
  const toCurrent = await openServiceProxy(portOf(master))
  t.after(async () => {
    await Promise.all([toMaster.close(), toCurrent.close()])
    await Promise.all([master.stop(), replica.stop()])
  })
  await replica.command(0, 'REPLICAOF', '127.0.0.1', `${toMaster.port}`)
  const isLinked = (said: string): boolean => said.includes('link_status:up')
  await untilRedisSays(replica, 0, ['INFO', 'replication'], isLinked)
  return {
    master,
    replica,
    address: `127.0.0.1:${toCurrent.port}`,
    holdReplication: () => toMaster.holdAnswers(),
    retarget: () => toCurrent.retarget(portOf(replica)),
    async promote() {
      await replica.command(0, 'REPLICAOF', 'NO', 'ONE')
    },
  }
}

function portOf({ addresses }: RedisService): number {
  return Number(addresses[0]?.split(':')[1])
}
