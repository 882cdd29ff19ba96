import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  activityCountMax,
  appendActivity,
  decodeActivity,
  emptyPack,
  type PackedActivity,
  propertiesBytesMax,
} from './activity-pack.ts'
import { addProperties, pickProperties } from './activity-values.ts'

const anyText = fc.constantFrom('red', 'blue', '')
const anyProperties = fc.record(
  { colour: anyText, size: fc.integer(), other: anyText },
  {
    requiredKeys: [],
  },
)
const anyLine = fc.record(
  { itemId: fc.constantFrom('cup', 'pot'), properties: anyProperties },
  { requiredKeys: [] },
)
/** Many lines are equal but for their properties, and many events happen at one instant. */
const anyEvents = fc
  .array(fc.array(anyLine, { minLength: 1, maxLength: 4 }), { maxLength: 6 })
  .map((events) => events.flatMap((lines, index) => lines.map((line) => lineAt(index, line))))

function lineAt(index: number, line: Partial<PackedActivity>): PackedActivity {
  const name = index % 3 === 0 ? 'Order Completed' : 'Product Viewed'
  return { ...line, name, occurredAtMs: 1 + (index % 2), eventRef: index }
}

const wanted = new Map([
  ['Product Viewed', ['colour', 'size']],
  ['Order Completed', ['colour']],
])

/** A line as it is where a rule named only these properties when it was folded. */
function keeping(
  { properties = {}, ...bare }: PackedActivity,
  names: readonly string[],
): PackedActivity {
  const kept = Object.entries(properties).filter(([name]) => names.includes(name))
  return kept.length === 0 ? bare : { ...bare, properties: Object.fromEntries(kept) }
}

function packOf(lines: readonly PackedActivity[]): Uint8Array {
  return appendActivity(emptyPack, lines)
}

describe('values of properties found later', () => {
  it('come to the lines that they are of, also where the first lines are gone', () => {
    fc.assert(
      fc.property(anyEvents, fc.nat(12), (lines, goneCount) => {
        const namesOf = ({ name }: PackedActivity) => wanted.get(name) ?? []
        const values = pickProperties(packOf(lines), wanted)
        const left = lines.slice(goneCount)
        const before = packOf(left.map((line) => keeping(line, ['other'])))
        const after = addProperties(before, values) ?? before
        assert.deepEqual(
          decodeActivity(after).map(sorted),
          left.map((line) => sorted(keeping(line, ['other', ...namesOf(line)]))),
        )
        assert.equal(addProperties(after, values), undefined, 'nothing is left to add')
      }),
    )
  })

  it('are of no other event, and no value that is there gives way', () => {
    const line = { name: 'Product Viewed', occurredAtMs: 1, eventRef: 7 }
    const values = packOf([{ ...line, properties: { colour: 'red' } }])
    for (const other of [{ occurredAtMs: 2 }, { eventRef: 8 }, { name: 'V' }, { itemId: 'cup' }]) {
      assert.equal(addProperties(packOf([{ ...line, ...other }]), values), undefined)
    }
    const known = packOf([{ ...line, properties: { colour: 'blue' } }])
    assert.equal(addProperties(known, values), undefined)
  })

  it('leave a line as it is that would have too much', () => {
    const line = { name: 'Product Viewed', occurredAtMs: 1, eventRef: 7 }
    const half = 'x'.repeat(propertiesBytesMax / 2)
    const known = packOf([{ ...line, properties: { other: half } }])
    assert.equal(
      addProperties(known, packOf([{ ...line, properties: { colour: half } }])),
      undefined,
    )
    const short = packOf([{ ...line, properties: { colour: 'red' } }])
    assert.notEqual(addProperties(known, short), undefined)
  })

  it('are picked from all that is retained', () => {
    const lines = Array.from({ length: activityCountMax }, (_, index) => ({
      ...{ name: 'Product Viewed', occurredAtMs: index, eventRef: index },
      properties: { colour: 'red' },
    }))
    assert.equal(decodeActivity(pickProperties(packOf(lines), wanted)).length, activityCountMax)
    assert.equal(pickProperties(packOf(lines), new Map([['Other', ['colour']]])).length, 0)
  })
})

function sorted({ properties, ...bare }: PackedActivity): unknown {
  const named = Object.entries(properties ?? {}).sort(([left], [right]) => (left < right ? -1 : 1))
  return { ...bare, named }
}
