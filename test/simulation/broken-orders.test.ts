/**
 * Three broken orders of effects are each found within a few seeds; so the checks are worth their
 * name.
 */

import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { Template } from '../../src/template/template.ts'
import {
  forwardsBeforeCommit,
  handsOverBeforeGrant,
  movesOffsetBeforeState,
} from './broken-orders.ts'
import type { Wiring } from './cluster.ts'
import { simulate } from './simulate.ts'
import { compileWorldTemplate } from './world-documents.ts'

const seedCount = 8
const eventCountMin = 400

describe('the simulation', () => {
  let template: Template
  before(async () => {
    template = await compileWorldTemplate()
  })

  async function findViolation(wiring: Wiring, expected: RegExp): Promise<string | undefined> {
    for (let seed = 1; seed <= seedCount; seed++) {
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
})
