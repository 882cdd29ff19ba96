/** A short run of the simulation; `npm run simulate -- --seeds 500` is the long one. */

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { Template } from '../../src/template/template.ts'
import { type Simulated, simulate } from './simulate.ts'
import { compileWorldTemplate } from './world-documents.ts'

const eventCountMin = 400

describe('the middle under faults', () => {
  let template: Template
  before(async () => {
    template = await compileWorldTemplate()
  })

  for (const seed of [1, 2, 3, 4, 5]) {
    it(`keeps its promises in seed ${seed}`, async () => {
      const { violations, hits, eventCount } = await simulate({ seed, template, eventCountMin })
      assert.deepEqual(violations, [])
      assert.ok(hits.size >= 20, `${hits.size} faults were hit`)
      assert.ok(eventCount >= eventCountMin)
    })
  }

  it('keeps its promises with 2,000 events', async () => {
    const { violations, eventCount } = await simulate({ seed: 9, template })
    assert.deepEqual(violations, [])
    assert.ok(eventCount >= 2000)
  })

  it('replays a seed exactly, whoever calls it, and another seed differs', async () => {
    const once = await simulate({ seed: 11, template, eventCountMin: 100 })
    // As a child does where its parent names a seed: by no promise.
    const twice = await new Promise<Simulated>((resolve, reject) => {
      const start = (): void => {
        simulate({ seed: 11, template, eventCountMin: 100 }).then(resolve, reject)
      }
      setImmediate(start)
    })
    const other = await simulate({ seed: 12, template, eventCountMin: 100 })
    assert.equal(once.traceHash, twice.traceHash)
    assert.notEqual(once.traceHash, other.traceHash)
  })
})
