import assert from 'node:assert/strict'
import { it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { createMetrics } from '../lib/metrics.ts'
import { createOwnerMeter, createOwnerMetrics } from './owner-measures.ts'

it('counts how long the fold stood still for intake, each time once', async () => {
  const meter = createOwnerMeter(systemClock)
  const metrics = createMetrics()
  const add = createOwnerMetrics(metrics)
  meter.yielded(100)
  meter.yielded(150)
  add(meter.take())
  meter.yielded(1000)
  add(meter.take())
  add(meter.take())
  assert.match(await metrics.render(), /^attune_process_yielded_seconds_total 1\.25$/m)
})
