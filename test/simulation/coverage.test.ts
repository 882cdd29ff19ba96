import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { recordKinds } from '../../src/log/record.ts'
import { type Covered, findUncovered } from './coverage.ts'
import { drawWorld, features } from './drawn-world.ts'
import { faultPointNames } from './fault-plan.ts'
import { randomOf } from './simulate.ts'

function coveredBy(seedCount: number, leftOut: readonly string[] = []): Covered {
  const countOf = (names: readonly string[], count: number): Map<string, number> =>
    new Map(names.filter((name) => !leftOut.includes(name)).map((name) => [name, count]))
  return {
    seedCount,
    leastFaultCount: 20,
    hits: countOf(faultPointNames, 1),
    features: countOf(features, 1),
    recordKinds: countOf(recordKinds, 1),
  }
}

describe('what many seeds come by', () => {
  it('is enough where each thing was there, and each feature left out, once', () => {
    assert.deepEqual(findUncovered(coveredBy(100)), [])
  })

  it('lacks faults where a seed was hit by few', () => {
    assert.deepEqual(findUncovered({ ...coveredBy(100), leastFaultCount: 19 }), [
      'faults of a seed, at least: 19 of 20',
    ])
  })

  it('is asked for from 100 seeds on', () => {
    assert.deepEqual(findUncovered(coveredBy(99, ['crash after commit'])), [])
    assert.deepEqual(findUncovered(coveredBy(100, ['crash after commit'])), [
      'fault points never hit: crash after commit',
    ])
  })

  it('lacks a feature that no world had, one that none was without, a kind of record', () => {
    assert.deepEqual(findUncovered(coveredBy(100, ['segment loyal', 'filled'])), [
      'features of no world: segment loyal',
      'kinds of records never appended: filled',
    ])
    const covered = coveredBy(100)
    assert.deepEqual(
      findUncovered({ ...covered, features: new Map([...covered.features, ['trait items', 100]]) }),
      ['features of every world: trait items'],
    )
  })
})

describe('a drawn world', () => {
  const worlds = Array.from({ length: 100 }, (_, seed) => drawWorld(randomOf(seed + 1, 'world')))

  it('holds each feature in many of 100 seeds, and is without it in many', () => {
    for (const feature of features) {
      const count = worlds.filter((world) => world.features.has(feature)).length
      assert.ok(count >= 10 && count <= 95, `${feature} is in ${count} worlds`)
    }
  })

  it('holds everything now and then, and always what starts a campaign', () => {
    assert.ok(worlds.some((world) => world.features.size === features.length))
    for (const world of worlds) {
      assert.ok(
        world.features.has('campaign thanks') || world.features.has('campaign cart-reminder'),
      )
    }
  })

  it('holds no campaign without the segment that starts it', () => {
    for (const world of worlds) {
      const isStarted =
        world.features.has('segment watchers') && world.features.has('trait views_lately')
      assert.ok(isStarted || !world.features.has('campaign watch-offer'))
    }
  })
})
