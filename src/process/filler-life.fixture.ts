/** What people do, and owners suffer, while the past is filled. */

import { createSeededRandom, type Random } from '../lib/random.ts'
import { Cluster, partitionCount } from './filler.fixture.ts'

/** Some life of people with devices that become theirs, before and after the traits come. */
export async function live(cluster: Cluster, random: Random, eventCount: number): Promise<void> {
  for (let count = 0; count < eventCount; count++) {
    cluster.nowMs += Math.floor(random.unit() * 200_000)
    const index = Math.floor(random.unit() * 12)
    const name = random.unit() < 0.2 ? 'Order Completed' : 'Product Viewed'
    const draw = random.unit()
    const device = `d${index}-${Math.floor(random.unit() * 2)}`
    // Some devices are used by two people: the second gets what comes from then on.
    const userId = random.unit() < 0.1 ? `u${(index + 1) % 12}` : `u${index}`
    if (draw < 0.5) await cluster.event(name, { anonymousId: device })
    else if (draw < 0.7) await cluster.event(name, { userId, anonymousId: device })
    else await cluster.event(name, { userId })
    if (random.unit() < 0.3) await cluster.step(random)
  }
}

/** A life in which users turn out to be one, and are told apart again. */
export async function mingle(cluster: Cluster, random: Random, eventCount: number): Promise<void> {
  const some = (): string => `u${Math.floor(random.unit() * 8)}`
  for (let count = 0; count < eventCount; count++) {
    await live(cluster, random, 1)
    const draw = random.unit()
    if (draw < 0.05) await cluster.event('alias', { userId: some(), previousId: some() })
    else if (draw < 0.1) {
      const crmId = `c${Math.floor(random.unit() * 6)}`
      await cluster.event('Product Viewed', { userId: some(), traits: { crmId } })
    } else if (draw < 0.18) {
      const joined = (await cluster.people()).filter(({ pointer }) => pointer !== undefined)
      const { key, pointer = '' } = joined[Math.floor(random.unit() * joined.length)] ?? {}
      if (key === undefined) continue
      if (draw < 0.13) await cluster.append('identity-split', key, {})
      else await cluster.append('identity-join', key, { otherKey: pointer })
    }
  }
}

export async function openCluster(
  seed: number,
): Promise<{ readonly random: Random; readonly cluster: Cluster }> {
  const random = createSeededRandom(seed)
  const cluster = new Cluster()
  await cluster.start()
  await cluster.apply('nothing')
  return { random, cluster }
}

/** Life goes on in rounds, some of which one partition sleeps through; then all comes to rest. */
export async function goOn(
  cluster: Cluster,
  random: Random,
  { roundCount, deathShare }: { readonly roundCount: number; readonly deathShare: number },
  liveOn: () => Promise<void>,
): Promise<void> {
  for (let round = 0; round < roundCount; round++) {
    await liveOn()
    cluster.asleep = Math.floor(random.unit() * (partitionCount + 1))
    for (let step = Math.floor(random.unit() * 9); step > 0; step--) await cluster.step(random)
    // The owner dies with what it has in hand.
    if (random.unit() < deathShare) await cluster.start()
  }
  cluster.asleep = -1
  await cluster.settle(random)
}
