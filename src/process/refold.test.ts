import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import type { RecordKind } from '../log/record.ts'
import { appendActivity, decodeActivity, emptyPack } from '../profile/activity-pack.ts'
import { encodePerson, type Person } from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { decodeCursor, encodeCursor, openFeed, readFeed } from './change-feed.ts'
import { type FilledEntry, filledEntry } from './fold-filled.ts'
import type { Cause, PastVersion, RefoldPlace } from './fold-stretch.ts'
import { checkpointStepCount } from './history.ts'
import {
  anyRecord,
  countingHash,
  dayMs,
  event,
  keys,
  minuteMs,
  PastWorld,
  pricingHash,
  recordOf,
  seeingHash,
  startMs,
  tick,
} from './past-world.fixture.ts'
import { findOldest, findVersionAt, foldVersion, foldVersions, type PastAnswer } from './refold.ts'
import { firedKey, historyPrefix } from './scope.ts'

describe('the past of a person', () => {
  it('is what it was at each version, by the fold again', async () => {
    for (const seed of [1]) {
      const world = new PastWorld(90 * dayMs)
      const random = createSeededRandom(seed)
      for (let index = 0; index < 900; index++) await world.append(anyRecord(random, index))
      await world.fold(1)
      let checked = 0
      const made: Cause[] = []
      for (const [key, versions] of world.seen) {
        const past = await pastOf(world, key)
        for (const [version, expected] of versions) {
          const found = past.get(version) ?? assert.fail(`${key} at ${version}`)
          const says = `${key} at ${version}, seed ${seed}`
          assert.deepEqual(bare(found.person), bare(expected.person), says)
          assert.deepEqual(found.traits, expected.traits, says)
          made.push(found.cause)
          checked++
        }
      }
      const { version } = (await world.now('user:ada')).person
      assert.ok(version > 2 * checkpointStepCount, `${version} versions, seed ${seed}`)
      assert.ok(checked > version / 2, `${checked} versions checked, seed ${seed}`)
      const isBy = (kind: string): boolean => made.some((cause) => cause.kind === kind)
      assert.ok(isBy('continue'), `new rules made versions, seed ${seed}`)
    }
  })

  it('holds what became of a message that was made before the checkpoint', async () => {
    const world = new PastWorld(90 * dayMs)
    await world.append(event('user:ada', 0, { name: 'Product Added' }))
    const count = checkpointStepCount + 20
    for (let index = 1; index < count; index++) {
      await world.append(event('user:ada', index * minuteMs, { name: 'Cart Viewed' }))
    }
    await world.fold(50)
    const [entry] = await world.state.scan(0, 'message/', '', 1)
    const messageId = entry?.key.slice('message/'.length) ?? assert.fail('a message was made')
    const skeleton = { messageId, outcome: 'unsubscribed', atMs: startMs }
    await world.append(recordOf('outcome', 'user:ada', count * minuteMs, skeleton))
    await world.append(event('user:ada', (count + 1) * minuteMs, {}))
    await world.fold(50)
    const { version } = (await world.now('user:ada')).person
    const found = foundOf(await foldVersion(world, place('user:ada'), version))
    assert.deepEqual(Object.keys(found.person.withdrawn), ['news'])
    const by = foundOf(await foldVersion(world, place('user:ada'), version - 1))
    assert.deepEqual([by.cause.kind, by.cause.name], ['outcome', 'unsubscribed'])
  })

  it('is told without computed traits, and not where a segment saw one', async () => {
    const world = new PastWorld(90 * dayMs)
    const random = createSeededRandom(3)
    const changes = new Map([
      [50, countingHash],
      [250, seeingHash],
      [350, 'a'.repeat(64)],
    ])
    let version = 1
    for (let index = 0; index < 700; index++) {
      const hash = changes.get(index)
      const skeleton = { hash, version: ++version }
      const atMs = index * 3 * minuteMs
      const record = recordOf('definitions', 'control:0', atMs, skeleton)
      await world.append(hash === undefined ? anyRecord(random, index + 1000) : record)
    }
    await world.fold(1)
    const reasons = new Map<string, number>()
    for (const [key, versions] of world.seen) {
      for (const [each, expected] of versions) {
        const answer = await foldVersion(world, place(key), each)
        const reason = answer.kind === 'refused' ? answer.reason : 'found'
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        if (answer.kind === 'refused') continue
        const { person, traits, lacksComputed } = answer.found
        const says = `${key} at ${each}`
        assert.deepEqual(
          bare(withoutComputed(person)),
          bare(withoutComputed(expected.person)),
          says,
        )
        assert.deepEqual(traits, expected.traits, says)
        if (lacksComputed) reasons.set('lacks', (reasons.get('lacks') ?? 0) + 1)
      }
    }
    assert.deepEqual([...reasons.keys()].sort(), ['computed', 'found', 'lacks'])
    assert.ok(
      [...reasons.values()].every((count) => count > 50),
      JSON.stringify([...reasons]),
    )
  })

  it('is told by what a segment saw of a property, before it was filled and after', async () => {
    const world = new PastWorld(90 * dayMs)
    const random = createSeededRandom(11)
    const live = async (from: number, to: number): Promise<void> => {
      for (let index = from; index < to; index++) await world.append(anyRecord(random, index))
      await world.fold(1)
    }
    const say = async (kind: RecordKind, index: number, skeleton: object, body?: unknown) => {
      await world.append(recordOf(kind, 'control:0', index * 3 * minuteMs, skeleton, body))
      await world.fold(1)
    }
    await live(0, 150)
    await say('definitions', 150, { hash: pricingHash, version: 2 })
    await live(151, 155)
    const entries: FilledEntry[] = []
    for (const key of keys) {
      const { person } = await world.now(key)
      for (const part of person.parts) {
        const lines = decodeActivity(part.activity).map((line) => ({
          ...line,
          properties: { price: 4 },
        }))
        const values = appendActivity(emptyPack, lines)
        entries.push(filledEntry(key, part, { states: [], values }))
      }
    }
    const whole = { slice: 0, sliceCount: 1, after: '', through: '', isSliceEnd: true }
    const filled = { step: 'people', version: 2, ...whole, epoch: 1, nonce: 'n' }
    await say('filled', 155, filled, entries)
    const number = (await world.meta()).evaluation?.number
    const task = { task: 'segments', epoch: 1, number, after: '', peopleCountMax: 9 }
    await say('continue', 156, task)
    await live(157, 199)
    const pricey = new Set<number>()
    const causes = new Map<string, number>()
    for (const [key, versions] of world.seen) {
      const past = await pastOf(world, key)
      for (const [version, { person }] of versions) {
        const found = past.get(version) ?? assert.fail(`${key} at ${version}`)
        assert.deepEqual(bare(found.person), bare(person), `${key} at ${version}`)
        causes.set(found.cause.kind, (causes.get(found.cause.kind) ?? 0) + 1)
        if (Object.hasOwn(person.memberships, 'pricey')) pricey.add(found.atMs)
      }
    }
    assert.ok((causes.get('filled') ?? 0) > 0 && (causes.get('continue') ?? 0) > 0)
    const readyMs = startMs + 155 * 3 * minuteMs
    assert.ok(pricey.size > 5 && [...pricey].every((atMs) => atMs >= readyMs), `${[...pricey]}`)
  })

  it('is followed by a feed that tells each version once, in order', async () => {
    for (const [seed, countMax] of [
      [4, 1],
      [5, 7],
      [6, 500],
    ] as const) {
      const world = new PastWorld(90 * dayMs)
      const random = createSeededRandom(seed)
      for (let index = 0; index < 300; index++) await world.append(anyRecord(random, index))
      const told = new Map<string, number>()
      let timerCount = 0
      let ruleCount = 0
      const deps = { log: world.log, state: world.state, workspace: 'default' }
      let cursor = await openFeed(deps)
      // It is read while the fold goes on, at any place of it.
      const follow = async (): Promise<void> => {
        for (let hasMore = true; hasMore; ) {
          const page = foundOf(await readFeed(deps, cursor, countMax))
          const last = page.changes.at(-1)?.cause.offset
          const before = page.changes.filter(({ cause }) => cause.offset !== last)
          assert.ok(page.changes.length <= countMax || before.length < countMax)
          for (const { personKey, version, cause } of page.changes) {
            assert.equal(version, (told.get(personKey) ?? 0) + 1, `${personKey}, seed ${seed}`)
            told.set(personKey, version)
            if (cause.kind === 'timer') timerCount++
            if (cause.kind === 'continue') ruleCount++
          }
          const text = encodeCursor(page.cursor)
          cursor = decodeCursor(text, 1) ?? assert.fail(text)
          hasMore = page.hasMore
        }
      }
      await world.fold(5, true, async () => {
        if (random.unit() < 0.3) await follow()
      })
      await follow()
      for (const key of keys) {
        assert.equal(told.get(key), (await world.now(key)).person.version, `${key}, seed ${seed}`)
      }
      assert.ok(timerCount > 10, `${timerCount} timers`)
      assert.ok(ruleCount > 1, `${ruleCount} by new rules`)
    }
  })

  it('asks a follower to begin anew who was away while what it needs went', async () => {
    const world = new PastWorld(90 * dayMs)
    const random = createSeededRandom(8)
    const deps = { log: world.log, state: world.state, workspace: 'default' }
    const begun = await openFeed(deps)
    for (let index = 0; index < 100; index++) await world.append(anyRecord(random, index))
    await world.fold(50)
    const page = foundOf(await readFeed(deps, begun, 20))
    assert.ok(page.hasMore)
    // Of what time alone has changed the newest are kept: the next one it would be told is gone.
    const next = 1 + (page.cursor.places[0]?.fired ?? 0)
    const head = await world.state.head(0)
    const changes = [{ key: firedKey(next), value: undefined }]
    await world.state.commit([{ ...head, partition: 0, previousOffset: head.offset, changes }])
    assert.deepEqual(await readFeed(deps, page.cursor, 500), refused('expired'))
    const anew = await openFeed(deps)
    assert.deepEqual(foundOf(await readFeed(deps, anew, 500)).changes, [])
  })

  it('does not depend on where the batches ended', async () => {
    const random = createSeededRandom(7)
    const records = Array.from({ length: 400 }, (_, index) => anyRecord(random, index))
    const hashesSeen = new Set<string>()
    for (const countMax of [1, 7, 400]) {
      const world = new PastWorld(90 * dayMs)
      for (const record of records) await world.append(record)
      await world.fold(countMax, false)
      hashesSeen.add(await hashPartition(world.state, 0))
      assert.ok((await world.state.scan(0, historyPrefix, '', 999)).length > 1)
    }
    assert.equal(hashesSeen.size, 1)
  })

  it('is found by its time, and listed with what made each version', async () => {
    const world = new PastWorld(90 * dayMs)
    for (let index = 0; index < 3 * checkpointStepCount; index++) {
      await world.append(event('user:ada', index * minuteMs, { name: 'Product Viewed' }))
    }
    await world.append(tick(3 * checkpointStepCount * minuteMs + dayMs))
    await world.fold(50)
    const ada = place('user:ada')
    const { person } = await world.now('user:ada')
    assert.ok(person.version > 3 * checkpointStepCount)
    for (const index of [0, 1, 15, 16, 255, 256, 300, 700]) {
      const atMs = startMs + index * minuteMs
      const version = foundOf(await findVersionAt(world, ada, atMs))
      assert.ok(foundOf(await foldVersion(world, ada, version)).atMs <= atMs)
      assert.ok(foundOf(await foldVersion(world, ada, version + 1)).atMs > atMs)
    }
    assert.deepEqual(await findVersionAt(world, ada, startMs - 1), refused('before'))
    assert.deepEqual(await findVersionAt(world, place('user:eve'), startMs), refused('before'))
    const kinds = new Set<string>()
    let after = 0
    for (;;) {
      const wish = { after, countMax: 50 }
      const { versions: some } = foundOf(await foldVersions(world, ada, wish))
      if (some.length === 0) break
      assert.ok(some.length <= 50)
      for (const { version, cause } of some) {
        assert.equal(version, ++after)
        kinds.add(`${cause.kind} ${cause.name}`)
      }
    }
    assert.equal(after, person.version)
    assert.deepEqual([...kinds].sort(), ['event Product Viewed', 'timer segment:viewers'])
    assert.deepEqual(await foldVersion(world, ada, after + 1), refused('unknown'))
    assert.deepEqual(await foldVersion(world, ada, 0), refused('unknown'))
  })

  it('goes after its time, but for what the kept versions need', async () => {
    const world = new PastWorld(dayMs)
    let atMs = 0
    for (let index = 0; index < 6 * checkpointStepCount; index++) {
      atMs = index * 5 * minuteMs
      await world.append(event('user:ada', atMs, { name: 'Cart Viewed' }))
    }
    await world.fold(50)
    const ada = place('user:ada')
    const oldest = foundOf(await findOldest(world, ada))
    assert.ok(oldest > 1, `${oldest}`)
    assert.deepEqual(await foldVersion(world, ada, oldest - 1), refused('expired'))
    assert.deepEqual(await findVersionAt(world, ada, startMs), refused('expired'))
    const first = foundOf(await foldVersion(world, ada, oldest))
    // All of the last day can be told.
    assert.ok(first.atMs <= startMs + atMs - dayMs)
    const kept = await world.state.scan(0, historyPrefix, '', 999)
    assert.ok(kept.length < 40, `${kept.length} keys`)
    assert.equal(
      foundOf(await foldVersion(world, ada, 6 * checkpointStepCount)).person.version,
      6 * checkpointStepCount,
    )
  })

  it('is not kept where that is off, and begins where it is switched on', async () => {
    const world = new PastWorld(0)
    for (let index = 0; index < 5; index++) await world.append(event('user:ada', index, {}))
    await world.fold(50)
    const ada = place('user:ada')
    assert.deepEqual(await foldVersion(world, ada, 3), refused('off'))
    const on = { epoch: 2, nonce: 'n2', historyMs: dayMs }
    await world.append(recordOf('owner', 'control:0', 10, on))
    for (let index = 20; index < 25; index++) await world.append(event('user:ada', index, {}))
    await world.fold(50)
    assert.deepEqual(await foldVersion(world, ada, 6), refused('expired'))
    assert.equal(foundOf(await foldVersion(world, ada, 8)).person.version, 8)
    assert.equal(foundOf(await findOldest(world, ada)), 7)
    await world.append(recordOf('owner', 'control:0', 30, { epoch: 3, nonce: 'n3', historyMs: 0 }))
    await world.append(event('user:ada', 31, {}))
    await world.fold(50)
    await world.append(recordOf('owner', 'control:0', 40, { epoch: 4, nonce: 'n4' }))
    await world.fold(50)
    assert.deepEqual(await world.state.scan(0, historyPrefix, '', 9), [])
  })

  it('is refused where the log was trimmed, or other rules folded it', async () => {
    const world = new PastWorld(90 * dayMs)
    for (let index = 0; index < 20; index++) await world.append(event('user:ada', index, {}))
    await world.fold(50)
    world.log.trim(0, 10)
    const ada = place('user:ada')
    assert.deepEqual(await foldVersion(world, ada, 20), refused('trimmed'))
  })
})

function withoutComputed(person: Person): Person {
  const parts = person.parts.map(({ key, totals, activity }) => ({ key, totals, activity }))
  return { ...person, parts }
}

/** Without what a version does not show. */
function bare(person: Person): unknown {
  const bytes = encodePerson({ ...person, seen: emptyPack, steps: emptyPack, segmentTimers: {} })
  return Buffer.from(bytes).toString('latin1')
}

function foundOf<Found>(answer: PastAnswer<Found>): Found {
  assert.ok(answer.kind === 'found', JSON.stringify(answer))
  return answer.found
}

async function pastOf(world: PastWorld, key: string): Promise<ReadonlyMap<number, PastVersion>> {
  const past = new Map<number, PastVersion>()
  for (;;) {
    const wish = { after: past.size, countMax: 100 }
    const { versions: some } = foundOf(await foldVersions(world, place(key), wish))
    if (some.length === 0) return past
    for (const each of some) past.set(each.version, each)
  }
}

function refused(reason: string): unknown {
  return { kind: 'refused', reason }
}

function place(personKey: string): RefoldPlace {
  return { workspace: 'default', partitionCount: 1, partition: 0, personKey }
}
