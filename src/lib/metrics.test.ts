import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMetrics, metricTable } from './metrics.ts'

describe('metrics', () => {
  it('renders counters, gauges and histograms with their labels and meaning', async () => {
    const metrics = createMetrics()
    metrics.counter('attune_collect_events_total')({ outcome: 'accepted' }, 3)
    metrics.gauge('attune_log_queue_bytes')({}, 17)
    metrics.histogram('attune_log_append_seconds')({}, 0.002)
    const text = await metrics.render()
    assert.match(text, /^attune_collect_events_total\{outcome="accepted"\} 3$/m)
    assert.match(text, /^attune_log_queue_bytes 17$/m)
    assert.match(text, /^attune_log_append_seconds_bucket\{le="0.001"\} 0$/m)
    assert.match(text, /^attune_log_append_seconds_bucket\{le="0.0025"\} 1$/m)
    assert.match(text, /^# HELP attune_log_queue_bytes Bytes that wait to be appended\.$/m)
  })

  it('gives the same metric to all who ask for a name', async () => {
    const metrics = createMetrics()
    metrics.counter('attune_delivery_messages_total')({ result: 'accepted' })
    metrics.counter('attune_delivery_messages_total')({ result: 'accepted' })
    assert.match(await metrics.render(), /^attune_delivery_messages_total\{result="accepted"\} 2$/m)
  })

  it('keeps two registries apart', async () => {
    createMetrics().gauge('attune_collect_paused')({}, 1)
    assert.equal((await createMetrics().render()).trim(), '')
  })

  it('refuses to let a counter shrink', () => {
    const count = createMetrics().counter('attune_collect_rejected_total')
    assert.throws(() => count({ reason: 'json' }, -1), /a counter only grows/)
  })

  it('adds the figures of the process when asked', async () => {
    const text = await createMetrics({ hasProcessMetrics: true }).render()
    assert.match(text, /^process_resident_memory_bytes \d+$/m)
  })

  it('names each metric with its unit or as a total, and gives it a meaning', () => {
    for (const [name, spec] of Object.entries(metricTable)) {
      if (spec.kind === 'counter') assert.match(name, /_total$/)
      if (spec.kind === 'histogram') assert.match(name, /_seconds$/)
      assert.match(spec.says, /\.$/, name)
    }
  })
})
