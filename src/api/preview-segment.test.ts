import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { noDefinitions } from '../process/definitions.ts'
import { createMeta, encodeJson, metaKey } from '../process/meta.ts'
import { createPerson, encodePerson, personPrefix } from '../profile/person.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { previewSegment, sampleCountDefault } from './preview-segment.ts'

const pageCount = 5_000
const rule = { event: 'Product Viewed', count: { atLeast: 1 } }

/** Partitions with so many people each, of whom every `viewedOneOf`th has viewed something. */
async function partitionsOf(
  given: { readonly partitionCount: number; readonly peopleCount: number },
  viewedOneOf: number,
) {
  const { partitionCount, peopleCount } = given
  const state = createMemoryStateStore()
  let viewedCount = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    const owner = { epoch: 1, nonce: 'n' }
    await state.acquire(partition, owner.epoch, owner.nonce)
    const place = { partition, ...owner, previousOffset: 0, lastRecordId: '', incarnation: 'test' }
    const meta = createMeta(1)
    meta.counts.people = peopleCount
    const changes = [{ key: metaKey, value: encodeJson(meta) }]
    for (let index = 0; index < peopleCount; index++) {
      const person = createPerson(`user:${partition}-${index}`, 1)
      person.version = 1
      const [part] = person.parts
      if (part !== undefined && index % viewedOneOf === 0) {
        part.totals['Product Viewed'] = [1, 0, 1, 1]
        viewedCount++
      }
      changes.push({ key: personPrefix + person.key, value: encodePerson(person) })
    }
    for (let from = 0; from < changes.length; from += pageCount) {
      const some = changes.slice(from, from + pageCount)
      await state.commit([{ ...place, offset: 0, changes: some }])
    }
  }
  const definitions = async () => noDefinitions()
  const deps = {
    place: { state, workspace: 'default', partitionCount },
    blobs: { get: async () => undefined },
    clock: systemClock,
    inForce: { of: definitions, named: definitions },
  }
  return { deps, viewedCount }
}

describe('a preview of a rule', () => {
  for (const [says, given] of [
    ['many partitions', { partitionCount: 8, peopleCount: 3_000 }],
    ['one large partition', { partitionCount: 1, peopleCount: 45_000 }],
  ] as const) {
    it(`looks at ten thousand people of ${says}, and says how far off it may be`, async () => {
      const { deps, viewedCount } = await partitionsOf(given, 7)
      const answer = await previewSegment(deps, rule, sampleCountDefault)
      assert.ok(answer.kind === 'preview', JSON.stringify(answer))
      const { sampleCount, peopleCount, isExact, count, countLow, countHigh } = answer.preview
      const peopleAll = given.partitionCount * given.peopleCount
      assert.equal(isExact, false)
      assert.equal(peopleCount, peopleAll)
      assert.ok(sampleCount >= sampleCountDefault && sampleCount < peopleAll, `${sampleCount}`)
      assert.ok(countLow < count && count < countHigh, `${countLow} ${count} ${countHigh}`)
      assert.ok(countLow <= viewedCount && viewedCount <= countHigh, `${viewedCount}`)
      assert.ok(countHigh - countLow < 0.02 * peopleAll, 'the interval is of ten thousand')
    })
  }

  it('is exact where there are no more people than it looks at', async () => {
    const { deps, viewedCount } = await partitionsOf({ partitionCount: 2, peopleCount: 5_000 }, 3)
    const answer = await previewSegment(deps, rule, sampleCountDefault)
    assert.ok(answer.kind === 'preview')
    const { isExact, count, countLow, countHigh } = answer.preview
    assert.deepEqual([isExact, count, countLow, countHigh], [true, ...Array(3).fill(viewedCount)])
  })
})
