import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createFailpoint, parseFailpoint } from './failpoint.ts'

it('kills at the hit that was asked for, of the place that was asked for, and once', () => {
  const kills: number[] = []
  let hit = 0
  const failpoint = createFailpoint('fold-after-commit:3', () => kills.push(hit))
  for (hit = 1; hit <= 6; hit++) {
    failpoint('fold-before-commit')
    failpoint('fold-after-commit')
  }
  assert.deepEqual(kills, [3])
})

it('does nothing unless armed', () => {
  let killCount = 0
  const failpoint = createFailpoint(undefined, () => killCount++)
  for (let hit = 0; hit < 10; hit++) failpoint('log-before-commit')
  assert.equal(killCount, 0)
})

it('refuses a place that is not there, and a hit that never comes', () => {
  for (const text of ['', 'fold', 'fold-after-commit:0', 'fold-after-commit:x', 'a:1']) {
    assert.throws(() => parseFailpoint(text), /ATTUNE_FAILPOINT/, text)
  }
})
