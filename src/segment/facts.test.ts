import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { appendActivity, emptyPack, type PackedActivity } from '../profile/activity-pack.ts'
import { createPerson } from '../profile/person.ts'
import { viewPerson } from '../profile/view-person.ts'
import { Facts } from './facts.ts'

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
    const parts = fc.array(fc.array(entry, { maxLength: 12 }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(parts, (all) => {
        const person = createPerson('user:ada', 0)
        person.parts = all.map((entries, index) => ({
          key: `user:${index}`,
          totals: {},
          activity: appendActivity(emptyPack, entries),
        }))
        const facts = new Facts(viewPerson(person, {}))
        for (const name of [...names, 'Order Completed']) {
          const told = facts.happenings(name).map(({ atMs }) => atMs)
          assert.deepEqual(facts.times(name), told)
        }
      }),
      { numRuns: 500 },
    )
  })
})
