import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { valueBytesMax } from '../state/state-store.ts'
import { activityCountMax, appendActivity, decodeActivity, emptyPack } from './activity-pack.ts'
import { boughtEntryBytes, boughtItemCountMax, packBought } from './bought-pack.ts'
import { habitBytesMax } from './habit/habit-pack.ts'
import {
  activityBytesMax,
  addActivity,
  addToTotals,
  createPerson,
  cutActivity,
  decodePerson,
  encodePerson,
  type Person,
  type PersonTraits,
  partCountMax,
  setTraits,
  traitsBytesMax,
} from './person.ts'
import { addSeen, lookUpSeen } from './seen.ts'
import { bar, barredCountMax, leave, noteRefusal, statedCountMax } from './ties.ts'
import { trailCountMax } from './trail.ts'

/** As large as the collector lets it through: four bytes a character. */
const long = (seed: number, length: number): string => `${seed} ${'\u{1F600}'.repeat(length / 2)}`

describe('the limits of a person', () => {
  it('keep the largest person under what a value of the state may hold', () => {
    const person = createPerson('user:flood', 0)
    for (let part = 1; part < partCountMax; part++) {
      const key = `anonymous:${long(part, 44)}`
      person.claimed[key] = 1
      person.parts.push({ key, totals: {}, activity: emptyPack })
    }
    const random = createSeededRandom(7)
    for (let index = 0; index < 8000; index++) {
      const part = person.parts[index % partCountMax]
      assert.ok(part)
      const name = long(index % 500, 196)
      const occurredAtMs = 1_800_000_000_000 + index
      const value = Math.round(random.unit() * 1e9) / 100
      addToTotals(person, part, { name, occurredAtMs, value })
      const entry = { name, occurredAtMs, eventRef: index, itemId: long(index, 196), value }
      part.activity = appendActivity(part.activity, [{ ...entry, quantity: 3 }])
      cutActivity(person)
      const id = Buffer.alloc(16)
      id.writeUInt32BE(index)
      const event = { id, contentHash: index + 1 }
      person.seen = addSeen(person.seen, event, occurredAtMs).seen
    }
    const keys = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => `anonymous:${long(index, 98)}`)
    // More than a device, an external id and a user have together.
    bar(person, keys(2 * barredCountMax))
    for (const key of keys(2 * barredCountMax)) leave(person, key)
    for (const key of keys(20)) noteRefusal(person, { key, reason: 'person-full', atMs: 1 })
    person.stated = Object.fromEntries(keys(statedCountMax).map((key) => [key, 1]))
    person.claimants = keys(100)
    person.trail = keys(trailCountMax).map((key) => [
      key,
      '255:9007199254740991',
      key,
      '255:9007199254740991',
    ])
    for (const part of person.parts) part.habits = new Uint8Array(habitBytesMax / partCountMax)
    const boughtBytes = (boughtItemCountMax / partCountMax) * boughtEntryBytes
    for (const part of person.parts) part.bought = new Uint8Array(boughtBytes)
    cutActivity(person)
    assert.ok(encodePerson(person).length < valueBytesMax, `${encodePerson(person).length} bytes`)
  })

  it('take a person of the layouts before, without computed, steps, and hashes', () => {
    const person = createPerson('user:ada', 5)
    const id = Buffer.alloc(16, 7)
    person.seen = addSeen(person.seen, { id, contentHash: 9 }, 60_000).seen
    const bytes = Buffer.from(encodePerson(person))
    const decoded = decodePerson(bytes)
    assert.equal(lookUpSeen(decoded.seen, { id, contentHash: 8 }, 60_000), 'conflict')
    // States of computed traits, four bytes for those of no part, came last.
    const counted = bytes.subarray(0, bytes.length - 4)
    counted[0] = 3
    assert.deepEqual(decodePerson(counted), decoded)
    // The steps, four bytes for none, came between the ids and the parts.
    const stepsAt = 5 + bytes.readUInt32BE(1) + 4 + person.seen.length
    const short = Buffer.concat([counted.subarray(0, stepsAt), counted.subarray(stepsAt + 4)])
    short[0] = 2
    assert.deepEqual({ ...decodePerson(short), steps: decoded.steps }, decoded)
    short[0] = 1
    const before = decodePerson(short)
    assert.equal(lookUpSeen(before.seen, { id, contentHash: 8 }, 60_000), 'repeat')
    assert.equal(encodePerson(before)[0], 6)
  })

  it('tell what was bought, and take no byte for it of whoever bought nothing', () => {
    const [person, buyer] = [aPersonWith([2, 3]), aPersonWith([2, 3])]
    const [, part] = buyer.parts
    assert.ok(part)
    const done = { name: 'Order Completed', itemId: 'lamp', occurredAtMs: 5, eventRef: 1 }
    part.bought = packBought([done])
    const decoded = decodePerson(encodePerson(buyer))
    assert.deepEqual(
      decoded.parts.map(({ bought }) => bought && Buffer.from(bought)),
      [undefined, packBought([done])],
    )
    const grownBytes = encodePerson(buyer).length - encodePerson(person).length
    assert.equal(grownBytes, boughtEntryBytes + 2 * 4, 'and the length of each pack')
    // The layout before told it by activity alone, as far as that is kept.
    part.activity = appendActivity(part.activity, [done])
    part.totals['Order Completed'] = [1, 0, 5, 5]
    delete part.bought
    const before = encodePerson(buyer)
    assert.equal(decodePerson(before).parts[1]?.bought, undefined)
    before[0] = 5
    assert.deepEqual(decodePerson(before).parts[1]?.bought, packBought([done]))
  })

  it('cut the oldest activity of the largest part, and nothing under the limit', () => {
    const person = aPersonWith([200, 60, 10])
    const before = person.parts.map(({ activity }) => activity)
    cutActivity(person)
    assert.deepEqual(
      person.parts.map(({ activity }) => activity),
      before,
    )
    const large = aPersonWith([128, 128, 128, 128, 30], 900)
    const last = decodeActivity(large.parts[0]?.activity ?? emptyPack).at(-1)
    cutActivity(large)
    const bytes = large.parts.reduce((sum, { activity }) => sum + activity.length, 0)
    assert.ok(bytes <= activityBytesMax && bytes > activityBytesMax * 0.95, `${bytes} bytes`)
    assert.deepEqual(decodeActivity(large.parts[0]?.activity ?? emptyPack).at(-1), last)
    assert.equal(decodeActivity(large.parts[4]?.activity ?? emptyPack).length, 30)
  })

  it('tell the names of which older activity made room, and of no other', () => {
    const entry = { name: 'Product Viewed', occurredAtMs: 1, eventRef: 1 }
    const small = aPersonWith([activityCountMax - 1, 1])
    const [part] = small.parts
    assert.ok(part)
    assert.deepEqual([...addActivity(small, part, [entry])], [])
    part.activity = appendActivity(part.activity, [{ ...entry, name: 'Product Added' }])
    assert.deepEqual([...addActivity(small, part, [entry])], ['Product Viewed'.padEnd(20, '.')])
    const large = aPersonWith([60, 60, 60, 60], 900)
    const [first] = large.parts
    assert.ok(first)
    const name = 'Product Viewed'.padEnd(255, '.')
    assert.deepEqual([...addActivity(large, first, [entry])], [name])
  })

  it('leave traits as they are where none is given', () => {
    const traits: PersonTraits = {}
    assert.deepEqual(setTraits(traits, 'user:ada', {}), { changed: [], droppedCount: 0 })
    assert.deepEqual(traits, {})
  })

  it('take no trait that has no room, and a smaller value of one that has', () => {
    const traits: PersonTraits = {}
    const given = (size: number) => Object.fromEntries([['bio', ['x'.repeat(size), 5, 'web']]])
    let droppedCount = 0
    for (let part = 0; part < 20; part++) {
      droppedCount += setTraits(traits, `anonymous:${part}`, given(16_000) as never).droppedCount
    }
    assert.ok(Buffer.byteLength(JSON.stringify(traits)) <= traitsBytesMax)
    assert.equal(droppedCount, 14)
    assert.deepEqual(setTraits(traits, 'anonymous:0', given(10) as never).changed, ['bio'])
    const older = { bio: ['old', 4, 'web'] } as never
    assert.deepEqual(setTraits(traits, 'anonymous:0', older), { changed: [], droppedCount: 0 })
  })
})

function aPersonWith(counts: readonly number[], nameLength = 20): Person {
  const person = createPerson('user:ada', 0)
  person.parts = counts.map((count, index) => ({
    key: `anonymous:${index}`,
    totals: {},
    activity: appendActivity(
      emptyPack,
      Array.from({ length: count }, (_, at) => ({
        name: 'Product Viewed'.padEnd(nameLength, '.'),
        occurredAtMs: at,
        eventRef: at,
        itemId: `item ${at}`.padEnd(nameLength, '.'),
      })),
    ),
  }))
  return person
}
