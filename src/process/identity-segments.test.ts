import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defaultIdentityRules } from '../profile/identity-rules.ts'
import { readMeta } from './meta.ts'
import { event, minuteMs, PastWorld, recordOf } from './past-world.fixture.ts'

/** With `vips`, who are on the list `vip`, and `quiet`, who added no product. */
const rules = { hash: 'b'.repeat(64), version: 2 }
const identify = { type: 'identify', name: 'Identified', traits: { plan: 'free' } }

describe('segments of people who join and leave', () => {
  it('hold what was not done for a key that was taken out', async () => {
    const world = await worldOf([
      event('anonymous:a1', minuteMs, { anonymousId: 'a1' }),
      event('user:ada', 2 * minuteMs, { ...identify, anonymousId: 'a1' }),
    ])
    assert.equal((await world.now('anonymous:a1')).person.pointer, 'user:ada')
    assert.deepEqual(await membersOf(world), { quiet: 1, viewers: 0 })
    await world.append(recordOf('identity-split', 'anonymous:a1', 3 * minuteMs, {}))
    // Before its part comes back.
    await world.fold(1, false)
    const { person } = await world.now('anonymous:a1')
    assert.equal(person.pointer, undefined)
    assert.deepEqual(Object.keys(person.memberships), ['quiet'])
    assert.deepEqual(await membersOf(world), { quiet: 2, viewers: 0 })
  })

  it('hold a list that names a key which too many have by now', async () => {
    const list = { name: 'vip', hash: 'l2', keyCount: 1 }
    const peopleCountMax = defaultIdentityRules.devicePeopleCountMax
    const world = await worldOf([
      recordOf('definitions', 'control:0', minuteMs, { list }),
      event('anonymous:a1', 2 * minuteMs, { anonymousId: 'a1' }),
      ...Array.from({ length: peopleCountMax + 1 }, (_, number) =>
        event(`user:u${number}`, (3 + number) * minuteMs, { ...identify, anonymousId: 'a1' }),
      ),
    ])
    const { person } = await world.now('anonymous:a1')
    assert.deepEqual([person.isShared, person.pointer], [true, undefined])
    assert.deepEqual(Object.keys(person.memberships).sort(), ['quiet', 'vips'])
  })

  it('hold a list that names a key which comes by an event', async () => {
    const list = { name: 'vip', hash: 'l2', keyCount: 1 }
    const world = await worldOf([
      recordOf('definitions', 'control:0', minuteMs, { list }),
      event('user:ada', 2 * minuteMs, { ...identify, anonymousId: 'a1' }),
    ])
    assert.deepEqual(Object.keys((await world.now('user:ada')).person.memberships), ['quiet'])
    await world.append(event('anonymous:a1', 3 * minuteMs, { anonymousId: 'a1' }))
    await world.fold(1)
    const { person } = await world.now('user:ada')
    assert.deepEqual(Object.keys(person.memberships).sort(), ['quiet', 'vips'])
  })
})

async function worldOf(records: readonly ReturnType<typeof event>[]): Promise<PastWorld> {
  const world = new PastWorld(0)
  await world.append(recordOf('definitions', 'control:0', 0, rules))
  for (const record of records) await world.append(record)
  await world.fold(1)
  return world
}

/** As the partition counts them. */
async function membersOf({ state }: PastWorld): Promise<Readonly<Record<string, number>>> {
  const { members = {} } = (await readMeta(state, 0)) ?? assert.fail('no meta')
  return { quiet: members['quiet'] ?? 0, viewers: members['viewers'] ?? 0 }
}
