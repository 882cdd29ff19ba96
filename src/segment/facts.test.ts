import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { appendActivity, emptyPack, type PackedActivity } from '../profile/activity-pack.ts'
import { createPerson, type Person } from '../profile/person.ts'
import { viewPerson } from '../profile/view-person.ts'
import { Facts } from './facts.ts'

/** What lies in one part each. */
const parts = (): fc.Arbitrary<PackedActivity[][]> =>
  fc.array(fc.array(entry, { maxLength: 12 }), { minLength: 1, maxLength: 3 })

function personWith(all: readonly (readonly PackedActivity[])[]): Person {
  const person = createPerson('user:ada', 0)
  person.parts = all.map((entries, index) => ({
    key: `user:${index}`,
    totals: {},
    activity: appendActivity(emptyPack, entries),
  }))
  return person
}

const names = ['Product Viewed', 'Product Added', 'Caf\u00e9 Visited'] as const

/** Few instants and few references, so that events meet and entries of one lie apart. */
const entry: fc.Arbitrary<PackedActivity> = fc
  .record(
    {
      name: fc.constantFrom(...names),
      occurredAtMs: fc.nat(4),
      eventRef: fc.nat(2),
      itemId: fc.constantFrom('a', 'b'),
      value: fc.nat(9),
      quantity: fc.nat(9),
      properties: fc.record({ colour: fc.constantFrom('red', 'blue') }),
    },
    { requiredKeys: ['name', 'occurredAtMs', 'eventRef'] },
  )
  .map((made) => ({ ...made }) as PackedActivity)

describe('the facts of a person', () => {
  it('tell when events occurred as the events themselves do, over all parts', () => {
    fc.assert(
      fc.property(parts(), (all) => {
        const facts = new Facts(viewPerson(personWith(all), {}))
        for (const name of [...names, 'Order Completed']) {
          const told = facts.happenings(name).map(({ atMs }) => atMs)
          assert.deepEqual(facts.times(name), told)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('tell all of it that is later than a rule looks back, whatever was asked before', () => {
    const afters = fc.array(fc.integer({ min: -1, max: 5 }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(parts(), afters, (all, each) => {
        const facts = new Facts(viewPerson(personWith(all), {}))
        for (const afterMs of each) {
          facts.timesAfterMs = afterMs
          for (const name of names) {
            const isLater = (atMs: number): boolean => atMs > afterMs
            const told = facts.happenings(name).map(({ atMs }) => atMs)
            assert.deepEqual(facts.times(name).filter(isLater), told.filter(isLater))
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})
