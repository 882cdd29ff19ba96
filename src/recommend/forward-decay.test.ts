import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ForwardDecay } from './forward-decay.ts'

const dayMs = 86_400_000
const options = { halfLifeMs: dayMs, exponentMin: -10, exponentMax: 10, exponentAtFirst: -5 }

describe('forward decay', () => {
  it('doubles with each half-life behind the first instant, and halves with each before', () => {
    const decay = new ForwardDecay(options)
    const firstMs = 20_000 * dayMs
    equal(decay.weightAt(firstMs), 2 ** -5)
    equal(decay.weightAt(firstMs + 3 * dayMs), 2 ** -2)
    equal(decay.weightAt(firstMs - 2 * dayMs), 2 ** -7)
    equal(decay.weightAt(firstMs), 2 ** -5)
  })

  it('counts by the minute, and never beyond its limits', () => {
    const decay = new ForwardDecay(options)
    equal(decay.weightAt(0), decay.weightAt(59_999))
    ok(decay.weightAt(60_000) > decay.weightAt(0))
    equal(decay.weightAt(1_000 * dayMs), 2 ** 10)
    equal(decay.weightAt(-1_000 * dayMs), 2 ** -10)
  })
})
