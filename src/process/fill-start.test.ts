import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { viewComputed } from '../profile/computed/view-computed.ts'
import type { Activity } from '../profile/person-view.ts'
import { viewPerson } from '../profile/view-person.ts'
import { countedFrom } from './fill-start.ts'
import { type Cluster, colours } from './filler.fixture.ts'
import { live, mingle, openCluster } from './filler-life.fixture.ts'

const hourMs = 3_600_000
const windowMs = 2 * hourMs

/** Checks that everybody's views are counted from an instant on, and whether that is said. */
async function checkViews(cluster: Cluster, fromMs: number): Promise<void> {
  const traits = await cluster.inForce()
  let missingCount = 0
  for (const person of await cluster.people()) {
    if (person.pointer !== undefined) continue
    const views = viewsOf(viewPerson(person, {}).activity)
    const answers = viewComputed(person.parts, { version: 9, traits }).answersAt(cluster.nowMs)
    const shown = new Map(answers.map(({ trait, ...answer }) => [trait.name, answer]))
    const counted = views.filter(({ occurredAtMs }) => occurredAtMs >= fromMs)
    missingCount += views.length - counted.length
    assert.deepEqual(shown.get('views'), { value: counted.length, isExact: false }, person.key)
    const edgeMs = cluster.nowMs - windowMs
    const lately = counted.filter(({ occurredAtMs }) => occurredAtMs > edgeMs)
    const isExact = edgeMs >= countedFrom(fromMs)
    assert.deepEqual(shown.get('views_lately'), { value: lately.length, isExact }, person.key)
  }
  assert.ok(missingCount > 0, 'some views are not counted')
}

function viewsOf(activity: readonly Activity[]): readonly Activity[] {
  return activity.filter(({ name }) => name === 'Product Viewed')
}

/** The instant that a cluster says no event is missing from, the same in all partitions. */
async function saidFrom(cluster: Cluster): Promise<number | undefined> {
  const said = new Set<number | undefined>()
  for (const { fold } of cluster.owneds) {
    const { traits, properties = [] } = fold.scope.computed.inForce
    for (const { readyAtMs, fromMs } of [...traits, ...properties]) {
      assert.ok(readyAtMs !== undefined, 'it is not pending')
      said.add(fromMs)
    }
  }
  assert.equal(said.size, 1)
  return [...said][0]
}

/** Fills each partition in three passes. */
function inThree({ owneds }: Cluster): void {
  for (const { fold } of owneds) {
    for (const job of fold.scope.fills.jobs) if (job.slice === 0) job.sliceCount = 3
  }
}

/** A life, of which the beginning is in no log any more; returns when the rest of it began. */
async function liveTrimmed(seed: number, eventCount = 80) {
  const { random, cluster } = await openCluster(seed)
  await mingle(cluster, random, eventCount)
  await cluster.settle(random)
  cluster.nowMs++
  const baseMs = cluster.nowMs
  // All partitions have folded to this instant.
  await cluster.start()
  await cluster.settle(random)
  await cluster.keepBase()
  await cluster.trim()
  cluster.nowMs++
  await mingle(cluster, random, eventCount)
  await cluster.settle(random)
  return { random, cluster, baseMs }
}

describe('behind a trimmed log', () => {
  it('a trait counts from the base on, and says so until its window has passed', async () => {
    for (const seed of [1, 2, 3]) {
      const { random, cluster, baseMs } = await liveTrimmed(seed)
      await cluster.apply('traits')
      await cluster.settle(random)
      assert.equal(await saidFrom(cluster), countedFrom(baseMs), `seed ${seed}`)
      await checkViews(cluster, baseMs)
      cluster.nowMs += 3 * hourMs
      await live(cluster, random, 20)
      await cluster.settle(random)
      await checkViews(cluster, baseMs)
    }
  })

  it('it is filled by owners that die, or in several passes', async () => {
    for (const isSliced of [false, true]) {
      const { random, cluster, baseMs } = await liveTrimmed(4, 120)
      await cluster.apply('traits')
      for (let life = 0; life < 12 && !isSliced; life++) {
        for (let step = 0; step < 4; step++) await cluster.step(random)
        await cluster.start()
      }
      await cluster.settle(random, () => {
        if (isSliced) inThree(cluster)
      })
      assert.equal(await saidFrom(cluster), countedFrom(baseMs))
      await checkViews(cluster, baseMs)
    }
  })

  it('a segment sees a property from the base on', async () => {
    const { random, cluster, baseMs } = await liveTrimmed(5)
    await cluster.apply('shades')
    await cluster.settle(random)
    assert.equal(await saidFrom(cluster), countedFrom(baseMs))
    for (const person of await cluster.people()) {
      if (person.pointer !== undefined) continue
      const seen = viewsOf(viewPerson(person, {}).activity)
        .filter(({ occurredAtMs }) => occurredAtMs >= baseMs)
        .map(({ occurredAtMs }) => cluster.events.get(occurredAtMs)?.properties?.['colour'])
      const isLoyal = colours.some((colour) => seen.filter((each) => each === colour).length > 1)
      assert.equal(Object.hasOwn(person.memberships, 'loyal'), isLoyal, person.key)
    }
  })

  it('without a base it counts from when it came, and is not pending for ever', async () => {
    const { random, cluster } = await openCluster(6)
    await live(cluster, random, 60)
    await cluster.settle(random)
    await cluster.trim(5)
    cluster.nowMs++
    const cameMs = cluster.nowMs
    await cluster.apply('traits')
    await cluster.settle(random)
    assert.ok(((await saidFrom(cluster)) ?? 0) >= countedFrom(cameMs))
    await live(cluster, random, 20)
    await cluster.settle(random)
    const traits = await cluster.inForce()
    for (const person of await cluster.people()) {
      if (person.pointer !== undefined) continue
      const views = viewsOf(viewPerson(person, {}).activity)
      const expected = views.filter(({ occurredAtMs }) => occurredAtMs >= cameMs).length
      const view = viewComputed(person.parts, { version: 9, traits })
      assert.equal(view.timed('views')?.at(cluster.nowMs), expected, person.key)
    }
  })

  it('what was filled before stays exact, also where the log is trimmed while it is', async () => {
    for (const keptCount of [0, 20]) {
      const { random, cluster } = await openCluster(7)
      await live(cluster, random, 100)
      await cluster.settle(random)
      await cluster.keepBase()
      await cluster.apply('traits')
      let isBegun = false
      await cluster.settle(random, () => {
        isBegun ||= cluster.owneds.some(({ fold }) => fold.scope.fills.jobs.length > 0)
      })
      assert.ok(isBegun)
      assert.equal(await saidFrom(cluster), undefined)
      await cluster.trim(keptCount)
      await live(cluster, random, 10)
      await cluster.settle(random)
      assert.equal(await saidFrom(cluster), undefined)
    }
    const { random, cluster } = await openCluster(8)
    await live(cluster, random, 100)
    await cluster.settle(random)
    await cluster.keepBase()
    await cluster.apply('traits')
    const jobs = () => cluster.owneds.flatMap(({ fold }) => fold.scope.fills.jobs)
    while (jobs().length < cluster.owneds.length) await cluster.step(random)
    assert.ok(
      jobs().some(({ isRead }) => !isRead),
      'some of the past is not read yet',
    )
    await cluster.trim()
    await cluster.settle(random)
    assert.ok(((await saidFrom(cluster)) ?? 0) > 0)
  })
})
