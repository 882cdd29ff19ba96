/**
 * Broken orders of effects, and misplaced trust in stores, are each found within a few seeds; so
 * the checks are worth their name.
 */

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { Template } from '../../src/template/template.ts'
import {
  forwardsBeforeCommit,
  goesOnOverALoss,
  handsOverBeforeGrant,
  movesOffsetBeforeState,
  readsAnyCopy,
} from './broken-orders.ts'
import type { Wiring } from './cluster.ts'
import { drawSeed, simulate } from './simulate.ts'
import { compileWorldTemplate } from './world-documents.ts'

const seedCount = 8
const eventCountMin = 400

describe('the simulation', () => {
  let template: Template
  before(async () => {
    template = await compileWorldTemplate()
  })

  /** Runs the first seeds, of those that bring `fault` where one is named. */
  async function findViolation(
    wiring: Wiring,
    expected: RegExp,
    fault?: string,
  ): Promise<string | undefined> {
    for (let seed = 1, count = 0; count < seedCount; seed++) {
      if (fault !== undefined && !drawSeed(seed).plan.isArmed(fault)) continue
      count++
      const { violations } = await simulate({
        seed,
        template,
        wiring,
        eventCountMin,
        isBrief: true,
      })
      const found = violations.find((violation) => expected.test(violation))
      if (found !== undefined) return found
    }
    return undefined
  }

  it('catches an outbox that is forwarded before its commit', async () => {
    const found = await findViolation(
      forwardsBeforeCommit,
      /^order: .* forwarded before its commit/,
    )
    assert.ok(found, `not found in ${seedCount} seeds`)
  })

  it('catches a hand-over before the grant is committed', async () => {
    const found = await findViolation(
      handsOverBeforeGrant,
      /^order: .* handed over before its grant/,
    )
    assert.ok(found, `not found in ${seedCount} seeds`)
  })

  it('catches an offset that is stored before the state', async () => {
    const expected = /^(I4|error|I5|campaign|liveness): /
    const found = await findViolation(movesOffsetBeforeState, expected)
    assert.ok(found, `not found in ${seedCount} seeds`)
  })

  it('catches an owner that goes on over what the store has lost', async () => {
    const found = await findViolation(goesOnOverALoss, /^(I4|I5): /, 'rewind after commit')
    assert.ok(found, `not found in ${seedCount} seeds`)
  })

  it('catches a copy that is believed whatever its tag', async () => {
    const expected = /^I9: .* not in the state/
    const found = await findViolation(readsAnyCopy, expected, 'hot copy goes back')
    assert.ok(found, `not found in ${seedCount} seeds`)
  })
})
