import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseServerConfig } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { createFreshness, createFreshnessBuffer, type Freshness } from '../process/freshness.ts'
import { createIntakeGate, type IntakeGate } from './intake-gate.ts'

const partitionCount = 4
const startMs = 1_800_000_000_000
const hourMs = 3_600_000

/** A clock whose two hands can be moved apart. */
class TwoHandClock implements Clock {
  wallMs = startMs
  steadyMs = 1000

  nowMs(): number {
    return this.wallMs
  }
  monotonicMs(): number {
    return this.steadyMs
  }
  sleep(): Promise<void> {
    return Promise.resolve()
  }
  pass(ms: number): void {
    this.wallMs += ms
    this.steadyMs += ms
  }
}

interface World {
  readonly clock: TwoHandClock
  readonly freshness: Freshness
  readonly gate: IntakeGate
  readonly queue: { bytes: number }
  readonly bytesHigh: number
  confirmAll(): void
}

function openWorld(isConfirmed = true): World {
  const clock = new TwoHandClock()
  const freshness = createFreshness(createFreshnessBuffer(partitionCount))
  const parsed = parseServerConfig({ environment: {}, flags: {} })
  assert(parsed.kind === 'config')
  const queue = { bytes: 0 }
  const log = {
    ...createMemoryEventLog({ identity: { incarnation: 'gate', partitionCount } }),
    queueBytes: () => queue.bytes,
  }
  const confirmAll = (): void => {
    for (let partition = 0; partition < partitionCount; partition++) {
      freshness.confirm(partition, clock.nowMs())
    }
  }
  if (isConfirmed) confirmAll()
  const deps = { clock, freshness, log, logger: silentLogger }
  const gate = createIntakeGate(deps, parsed.values)
  return {
    clock,
    freshness,
    gate,
    queue,
    bytesHigh: parsed.values['log.queueBytesHigh'],
    confirmAll,
  }
}

describe('the intake gate', () => {
  it('pauses at the high mark of the queue, and goes on at the low one', () => {
    const { gate, queue, bytesHigh } = openWorld()
    const shares: readonly (readonly [number, string])[] = [
      [0.7, 'open'],
      [0.76, 'closed'],
      [0.6, 'closed'],
      [0.49, 'open'],
      [0.7, 'open'],
    ]
    for (const [share, kind] of shares) {
      queue.bytes = share * bytesHigh
      const intake = gate.intake()
      assert.equal(intake.kind, kind, `at ${share}`)
      if (intake.kind === 'closed') assert.equal(intake.reason, 'lag')
    }
  })

  it('stays open while both clocks go on together', () => {
    const { clock, gate, confirmAll } = openWorld()
    for (let hour = 0; hour < 48; hour++) {
      clock.pass(hourMs)
      confirmAll()
      assert.equal(gate.intake().kind, 'open')
    }
  })

  for (const jumpMs of [-hourMs, hourMs, 400 * 24 * hourMs]) {
    it(`closes while the wall clock is off by ${jumpMs / hourMs} h, and opens again`, () => {
      const { clock, gate, confirmAll } = openWorld()
      clock.wallMs += jumpMs
      confirmAll()
      const intake = gate.intake()
      assert(intake.kind === 'closed')
      assert.equal(intake.reason, 'clock')
      assert.ok(intake.retryAfterSeconds > 0)
      clock.wallMs -= jumpMs
      clock.pass(1000)
      confirmAll()
      assert.equal(gate.intake().kind, 'open')
    })
  }

  it('lets the small steps of a clock that is being set pass', () => {
    const { clock, gate, confirmAll } = openWorld()
    clock.wallMs += 59_000
    confirmAll()
    assert.equal(gate.intake().kind, 'open')
  })

  it('closes for lag where one partition of many falls behind', () => {
    const { clock, freshness, gate } = openWorld()
    clock.pass(61_000)
    for (let partition = 1; partition < partitionCount; partition++) {
      freshness.confirm(partition, clock.nowMs())
    }
    const intake = gate.intake()
    assert(intake.kind === 'closed')
    assert.equal(intake.reason, 'lag')
    assert.equal(gate.lagMs(), 61_000)
    freshness.confirm(0, clock.nowMs())
    clock.pass(200)
    assert.equal(gate.intake().kind, 'open')
  })

  it('is open at the start, before a partition is confirmed, and closes where none ever is', () => {
    const { clock, gate } = openWorld(false)
    assert.equal(gate.intake().kind, 'open')
    clock.pass(61_000)
    assert.equal(gate.intake().kind, 'closed')
  })

  it('stays closed once it stops', () => {
    const { gate } = openWorld()
    gate.stop()
    const intake = gate.intake()
    assert(intake.kind === 'closed')
    assert.equal(intake.reason, 'stopping')
  })
})
