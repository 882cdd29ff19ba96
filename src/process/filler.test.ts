import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { partitionOf } from '../log/record.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import { defaultIdentityRules } from '../profile/identity-rules.ts'
import {
  type Cluster,
  checkRebuild,
  checkValues,
  partitionCount,
  partitions,
} from './filler.fixture.ts'
import { goOn, live, mingle, openCluster } from './filler-life.fixture.ts'
import type { FilledSkeleton } from './fold-filled.ts'

async function checkFilled(cluster: Cluster, partition = 0): Promise<void> {
  const inForce = await cluster.inForce(partition)
  assert.ok(inForce.length > 0, `partition ${partition} has traits`)
  for (const { name, readyAtMs } of inForce) {
    assert.ok(readyAtMs !== undefined, `${name} is filled in partition ${partition}`)
  }
}

describe('a new computed trait', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`is filled exactly while life and deaths of owners go on (seed ${seed})`, async () => {
      const { random, cluster } = await openCluster(seed)
      await live(cluster, random, 120)
      await cluster.apply('traits')
      await goOn(cluster, random, { roundCount: 12, deathShare: 0.5 }, () =>
        live(cluster, random, 10),
      )
      for (const partition of partitions) await checkFilled(cluster, partition)
      await checkValues(cluster)
      await checkRebuild(cluster)
    })
  }

  it('takes nothing twice, nor from an older owner', async () => {
    const { random, cluster } = await openCluster(8)
    await live(cluster, random, 100)
    await cluster.settle(random)
    await cluster.apply('traits')
    const said = new Set<string>()
    let repeated = 0
    const ended = { slice: 0, sliceCount: 1, after: '', through: '', isSliceEnd: true } as const
    for (let step = 0; step < 400; step++) {
      await cluster.step(random)
      // An owner of before says that there is no past at all.
      const forged: FilledSkeleton = { step: 'people', version: 2, ...ended, epoch: 0, nonce: 'n0' }
      const body = Buffer.from('[]')
      if (step < 40) {
        const partition = step % partitionCount
        await cluster.append('filled', `control:${partition}`, forged, { partition, body })
      }
      // Every record of an owner comes again, as it was and in the name of an epoch before.
      for (const partition of partitions) {
        for (const record of await cluster.log.read(partition, 0, 10_000)) {
          const id = Buffer.from(record.id).toString('hex')
          if (record.kind !== 'filled' || record.outbox !== undefined || said.has(id)) continue
          if (record.body.length === 2) continue
          const skeleton = record.skeleton as FilledSkeleton
          for (const older of [skeleton, { ...skeleton, epoch: 0 }]) {
            const again = sha256Bytes(`again ${id} ${repeated++}`, 16)
            said.add(id).add(Buffer.from(again).toString('hex'))
            await cluster.log.append([{ ...record, id: again, skeleton: older }])
          }
        }
      }
    }
    await cluster.settle(random)
    assert.ok(repeated >= 2 * partitionCount, `${repeated} records were repeated`)
    await checkValues(cluster)
    await checkRebuild(cluster)
  })

  it('is filled in several passes over the log, each with some of the people', async () => {
    const { random, cluster } = await openCluster(9)
    await live(cluster, random, 150)
    await cluster.settle(random)
    await cluster.apply('traits')
    await cluster.settle(random, () => {
      for (const { fold } of cluster.owneds) {
        for (const job of fold.scope.fills.jobs) if (job.slice === 0) job.sliceCount = 3
      }
    })
    assert.ok((await cluster.inForce()).every(({ readyAtMs }) => readyAtMs !== undefined))
    await checkValues(cluster)
  })

  it('knows in each pass which emails were sent, whoever else was evaluated then', async () => {
    const { random, cluster } = await openCluster(12)
    const names = Array.from({ length: 30 }, (_, index) => `person-${index}`)
    const view = async (some: readonly string[]): Promise<void> => {
      for (const userId of some) await cluster.event('Product Viewed', { userId })
    }
    for (let count = 0; count < 2; count++) await view(names)
    await view(names.slice(0, 10))
    await cluster.settle(random)
    await cluster.apply('viewers')
    // Some view once more while it is pending: they enter, and get nothing.
    await view(names.slice(10, 14))
    await cluster.settle(random)
    await view(names.slice(14))
    await cluster.settle(random)
    const messages = (await Promise.all(partitions.map((each) => cluster.messages(each)))).flat()
    assert.ok(messages.length >= 16, `${messages.length} messages`)
    for (const { messageId, personKey } of messages) {
      const skeleton = { messageId, outcome: 'opened', atMs: cluster.nowMs }
      await cluster.append('outcome', personKey, skeleton)
    }
    await cluster.settle(random)
    await cluster.apply('opened')
    await cluster.settle(random, () => {
      for (const { fold } of cluster.owneds) {
        for (const job of fold.scope.fills.jobs) if (job.slice === 0) job.sliceCount = 3
      }
    })
    const traits = await cluster.inForce()
    assert.ok(traits.every(({ readyAtMs }) => readyAtMs !== undefined))
    const opened = new Map(
      (await cluster.people()).map((person) => {
        const view = viewComputed(person.parts, { version: 9, traits })
        return [person.key, view.timed('opened')?.at(cluster.nowMs)]
      }),
    )
    const counts = Map.groupBy(messages, ({ personKey }) => personKey)
    for (const [key, value] of opened) assert.equal(value, counts.get(key)?.length ?? 0, key)
  })

  it('goes where a device went while it is filled: the past to who claimed it first', async () => {
    for (let seed = 20; seed < 26; seed++) {
      const { random, cluster } = await openCluster(seed)
      for (let count = 0; count < 3; count++) {
        await cluster.event('Product Viewed', { anonymousId: 'd' })
      }
      await cluster.settle(random)
      await cluster.apply('traits')
      // Whether the past is read before, between or behind the claims is left to chance.
      for (const userId of ['u1', 'u2']) {
        for (let step = Math.floor(random.unit() * 4); step > 0; step--) await cluster.step(random)
        await cluster.event('Product Viewed', { userId, anonymousId: 'd' })
        for (let step = Math.floor(random.unit() * 3); step > 0; step--) await cluster.step(random)
        await cluster.event('Product Viewed', { anonymousId: 'd' })
      }
      await cluster.settle(random)
      await checkValues(cluster)
    }
  })

  it("stays with who had a device first, also where it is nobody's by now", async () => {
    for (let seed = 70; seed < 76; seed++) {
      const { random, cluster } = await openCluster(seed)
      for (let count = 0; count < 3; count++) {
        await cluster.event('Product Viewed', { anonymousId: 'd' })
      }
      await cluster.settle(random)
      await cluster.apply('traits')
      for (let step = Math.floor(random.unit() * 4); step > 0; step--) await cluster.step(random)
      for (let user = 0; user <= defaultIdentityRules.devicePeopleCountMax; user++) {
        await cluster.event('Product Viewed', { userId: `u${user}`, anonymousId: 'd' })
      }
      for (let step = Math.floor(random.unit() * 4); step > 0; step--) await cluster.step(random)
      await cluster.event('Product Viewed', { anonymousId: 'd' })
      await cluster.settle(random)
      const device = (await cluster.people()).find(({ key }) => key === 'anonymous:d')
      assert.equal(device?.isShared, true)
      await checkValues(cluster, `seed ${seed}`)
    }
  })

  it('is filled exactly where one partition has it before another', async () => {
    for (const seed of [60, 61, 62, 63, 64, 65]) {
      const { random, cluster } = await openCluster(seed)
      await live(cluster, random, 60)
      await cluster.settle(random)
      for (const partition of partitions) {
        const brought = { version: 2, hash: 'traits' }
        await cluster.append('definitions', `control:${partition}`, brought, { partition })
        await live(cluster, random, 20)
        await cluster.settle(random)
      }
      await checkFilled(cluster)
      await checkValues(cluster, `seed ${seed}`)
      await checkRebuild(cluster)
    }
  })

  it('goes where people go who are joined, taken apart and joined again', async () => {
    for (const seed of [40, 46, 48, 50, 93, 254, 286, 350, 402, 464, 550]) {
      const { random, cluster } = await openCluster(seed)
      await mingle(cluster, random, 100)
      await cluster.apply('traits')
      await goOn(cluster, random, { roundCount: 10, deathShare: 0.3 }, () =>
        mingle(cluster, random, 8),
      )
      await checkFilled(cluster)
      await checkValues(cluster, `seed ${seed}`)
      await checkRebuild(cluster)
    }
  })

  it('is ready nowhere while one partition has not read its past', async () => {
    const { random, cluster } = await openCluster(30)
    await live(cluster, random, 60)
    await cluster.settle(random)
    await cluster.apply('traits')
    cluster.asleep = 2
    for (let step = 0; step < 300; step++) await cluster.step(random)
    for (const partition of [0, 1, 3]) {
      const inForce = await cluster.inForce(partition)
      assert.ok(inForce.length > 0 && inForce.every(({ readyAtMs }) => readyAtMs === undefined))
    }
    cluster.asleep = -1
    await cluster.settle(random)
    await checkValues(cluster)
  })

  it('starts no campaign by what it was, and one by what happens next', async () => {
    const { random, cluster } = await openCluster(10)
    const enrolled = () =>
      cluster.owneds.reduce(
        (sum, { fold }) => sum + (fold.scope.meta.campaigns['offer']?.['enrolled'] ?? 0),
        0,
      )
    const isKeen = async (key: string): Promise<boolean> =>
      (await cluster.people()).some(
        (person) => person.key === key && Object.hasOwn(person.memberships, 'keen'),
      )
    for (let count = 0; count < 6; count++) await cluster.event('Product Viewed', { userId: 'ada' })
    for (let count = 0; count < 3; count++) await cluster.event('Product Viewed', { userId: 'bob' })
    await cluster.settle(random)
    await cluster.apply('traits')
    // Folded everywhere, and not filled yet: whoever views more is in no segment.
    const adasPartition = partitionOf('default', 'user:ada', partitionCount)
    const waitingFor = () => cluster.owneds.map(({ fold }) => fold.scope.meta.waiting)
    let isPending = true
    for (let step = 0; step < 2000; step++) {
      const names = await cluster.inForce(adasPartition)
      isPending = names.some(({ readyAtMs }) => readyAtMs === undefined)
      if (names.length > 0 && isPending) {
        await cluster.event('Product Viewed', { userId: 'ada' })
        assert.equal(await isKeen('user:ada'), false)
        assert.deepEqual(waitingFor()[adasPartition], ['keen'])
      }
      if (names.length > 0 && !isPending) break
      await cluster.step(random)
    }
    await cluster.settle(random)
    assert.deepEqual(waitingFor(), Array(partitionCount).fill(undefined))
    assert.equal(await isKeen('user:ada'), true, 'everybody is evaluated when it is filled')
    assert.equal(await isKeen('user:bob'), false)
    assert.equal(enrolled(), 0)
    await cluster.event('Product Viewed', { userId: 'ada' })
    await cluster.settle(random)
    assert.equal(enrolled(), 0, 'what the rule found is nothing that she did')
    for (let count = 0; count < 3; count++) {
      await cluster.event('Product Viewed', { userId: 'bob' })
      await cluster.settle(random)
    }
    assert.equal(await isKeen('user:bob'), true)
    assert.equal(enrolled(), 1)
  })

  it('gives way to another definition of its name while it is filled', async () => {
    const { random, cluster } = await openCluster(11)
    await live(cluster, random, 60)
    await cluster.settle(random)
    await cluster.apply('traits')
    for (let step = 0; step < 6; step++) await cluster.step(random)
    await cluster.apply('other')
    await cluster.settle(random)
    const inForce = await cluster.inForce()
    assert.deepEqual(
      inForce.map(({ name, windowMs, readyAtMs }) => [name, windowMs, readyAtMs !== undefined]),
      [['views', 3_600_000, true]],
    )
    for (const { fold } of cluster.owneds) {
      assert.deepEqual(fold.scope.fills, { jobs: [], traffic: {}, reports: {} })
    }
    await cluster.apply('traits')
    await cluster.settle(random)
    await checkValues(cluster)
    await checkRebuild(cluster)
  })
})
