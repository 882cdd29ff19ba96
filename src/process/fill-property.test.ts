import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { viewPerson } from '../profile/view-person.ts'
import { type Cluster, checkRebuild, colours, partitions } from './filler.fixture.ts'
import { goOn, live, mingle, openCluster } from './filler-life.fixture.ts'

const windowMs = 2 * 3_600_000

/** Judges everybody by the events as they were sent; whose they are is kept by other code. */
async function checkMembers(cluster: Cluster, says = ''): Promise<void> {
  const found = new Map([true, false].map((isMember) => [isMember, 0]))
  for (const person of await cluster.people()) {
    // Of an id that has only claimed others nothing is known.
    if (person.pointer !== undefined || person.version === 0) continue
    const views = viewPerson(person, {})
      .activity.filter(({ name }) => name === 'Product Viewed')
      .map(({ occurredAtMs }) => cluster.events.get(occurredAtMs) ?? assert.fail('it was sent'))
    const nowMs = cluster.foldMsOf(person.key)
    const reds = views.filter(({ occurredAtMs, properties }) => {
      return occurredAtMs > nowMs - windowMs && properties?.['colour'] === 'red'
    })
    const isLoyal = colours.some(
      (colour) => views.filter(({ properties }) => properties?.['colour'] === colour).length > 1,
    )
    const expected = [
      ...(reds.length > 1 ? ['reds'] : []),
      ...(isLoyal ? ['loyal'] : ['strangers']),
    ]
    const members = Object.keys(person.memberships)
    assert.deepEqual(members.sort(), expected.sort(), `${person.key} ${says}`)
    for (const is of [reds.length > 1, isLoyal]) found.set(is, (found.get(is) ?? 0) + 1)
  }
  assert.ok(
    [...found.values()].every((count) => count > 0),
    `some are members and some are not ${says}`,
  )
}

async function checkFilled(cluster: Cluster): Promise<void> {
  for (const partition of partitions) {
    const [property, ...others] = await cluster.propertiesInForce(partition)
    assert.deepEqual([property?.event, property?.property], ['Product Viewed', 'colour'])
    assert.ok(property?.readyAtMs !== undefined, `it is filled in partition ${partition}`)
    assert.equal(others.length, 0)
  }
  for (const { fold } of cluster.owneds) {
    assert.equal(fold.scope.meta.waiting, undefined)
    assert.deepEqual(fold.scope.fills.jobs, [])
  }
}

describe('a segment that names a property for the first time', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`sees all of the past while life and deaths of owners go on (seed ${seed})`, async () => {
      const { random, cluster } = await openCluster(seed)
      await live(cluster, random, 120)
      await cluster.apply('shades')
      await goOn(cluster, random, { roundCount: 12, deathShare: 0.5 }, () =>
        live(cluster, random, 10),
      )
      await checkFilled(cluster)
      await checkMembers(cluster)
      await checkRebuild(cluster)
    })
  }

  it('sees what people did who are joined, taken apart and joined again', async () => {
    for (const seed of [40, 46, 48, 50, 93]) {
      const { random, cluster } = await openCluster(seed)
      await mingle(cluster, random, 100)
      await cluster.apply('shades')
      await goOn(cluster, random, { roundCount: 10, deathShare: 0.3 }, () =>
        mingle(cluster, random, 8),
      )
      await checkFilled(cluster)
      await checkMembers(cluster, `seed ${seed}`)
      await checkRebuild(cluster)
    }
  })

  it('sees all of the past where one partition has it before another', async () => {
    for (const seed of [60, 61]) {
      const { random, cluster } = await openCluster(seed)
      await live(cluster, random, 60)
      await cluster.settle(random)
      for (const partition of partitions) {
        const brought = { version: 2, hash: 'shades' }
        await cluster.append('definitions', `control:${partition}`, brought, { partition })
        await live(cluster, random, 20)
        await cluster.settle(random)
      }
      await checkFilled(cluster)
      await checkMembers(cluster, `seed ${seed}`)
    }
  })

  it('sees all of the past in several passes, and after it was gone for a while', async () => {
    const { random, cluster } = await openCluster(9)
    await live(cluster, random, 100)
    await cluster.apply('shades')
    await cluster.settle(random)
    await cluster.apply('nothing')
    await live(cluster, random, 60)
    await cluster.apply('shades')
    await cluster.settle(random, () => {
      for (const { fold } of cluster.owneds) {
        for (const job of fold.scope.fills.jobs) if (job.slice === 0) job.sliceCount = 3
      }
    })
    await checkFilled(cluster)
    await checkMembers(cluster)
  })

  it('is pending until then, and starts no campaign by what it found', async () => {
    const { random, cluster } = await openCluster(10)
    const enrolled = (): number =>
      cluster.owneds.reduce(
        (sum, { fold }) => sum + (fold.scope.meta.campaigns['offer']?.['enrolled'] ?? 0),
        0,
      )
    const membersOf = async (): Promise<readonly string[]> =>
      (await cluster.people()).flatMap(({ memberships }) => Object.keys(memberships))
    await live(cluster, random, 120)
    await cluster.settle(random)
    await cluster.apply('shades')
    cluster.asleep = 2
    for (let step = 0; step < 100; step++) {
      if (step % 10 === 0) await live(cluster, random, 1)
      await cluster.step(random)
    }
    const [awake] = cluster.owneds
    assert.deepEqual(awake?.fold.scope.meta.waiting, ['reds', 'loyal', 'strangers'])
    assert.deepEqual(await membersOf(), [])
    cluster.asleep = -1
    await cluster.settle(random)
    await checkMembers(cluster)
    assert.ok((await membersOf()).includes('reds'))
    assert.equal(enrolled(), 0)
    for (let count = 0; count < 12; count++) {
      await cluster.event('Product Viewed', { userId: 'zoe' })
      await cluster.settle(random)
    }
    assert.equal(enrolled(), 1, 'what comes next does')
  })
})
