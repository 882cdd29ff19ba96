import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type DemoCounts, isGoodDemo } from './demo-verdict.ts'

const good: DemoCounts = {
  lostEvents: 0,
  eventsAtOddTimes: 0,
  messagesDue: 7,
  messagesReceived: 6,
  duplicateMessages: 0,
  lostMessages: 0,
  unexpectedMessages: 0,
  rebuildHashEqual: true,
  evidenceRerendered: 6,
  evidenceEqual: 6,
}

it('a demo went well where nothing is lost, doubled, unexpected or different', () => {
  assert.equal(isGoodDemo(good), true)
  const faults: readonly Partial<DemoCounts>[] = [
    { lostEvents: 1 },
    { eventsAtOddTimes: 1 },
    { messagesDue: 0 },
    { duplicateMessages: 1 },
    { lostMessages: 1 },
    { unexpectedMessages: 1 },
    { rebuildHashEqual: false },
    { evidenceRerendered: 5, evidenceEqual: 5 },
    { evidenceEqual: 5 },
  ]
  for (const fault of faults) {
    assert.equal(isGoodDemo({ ...good, ...fault }), false, JSON.stringify(fault))
  }
})
