import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import { createLiquidEngine } from './liquid-engine.ts'

const blockedMs = 300

/** A value that holds up the thread at its first reading, without work. */
function aBox(): JsonObject {
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  let isFirst = true
  return {
    get word() {
      if (isFirst) Atomics.wait(sleeper, 0, 0, blockedMs)
      isFirst = false
      return 'word'
    },
  }
}

describe('the time of a fill', () => {
  const text = '{% for number in (1..400) %}{{ box.word }}{% endfor %}'

  it('is that of its own work: a thread that is held up refuses nobody', () => {
    const engine = createLiquidEngine('text')
    const limits = { nowMs: 0, softMs: blockedMs / 2 }
    const filled = engine.fill(text, { box: aBox() }, limits)
    assert.deepEqual(filled, { kind: 'filled', text: 'word'.repeat(400) })
  })

  it('is bounded', () => {
    const engine = createLiquidEngine('text')
    const loops = '{% for a in (1..300) %}{% for b in (1..100) %}{{ a }}{% endfor %}{% endfor %}'
    const filled = engine.fill(loops, {}, { nowMs: 0, softMs: 1 })
    assert.equal(filled.kind, 'refused')
    assert.equal(filled.kind === 'refused' && filled.reason, 'limit')
    assert.match(filled.kind === 'refused' ? filled.says : '', /over 1 ms of work/)
  })
})
