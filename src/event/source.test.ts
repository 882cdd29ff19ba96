import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSource } from './source.ts'

const good = { name: 'web', writeKeys: ['wk_12345678'] }

describe('parseSource', () => {
  it('takes a whole source', () => {
    const parsed = parseSource({
      ...good,
      allowedOrigins: ['https://shop.example', 'http://localhost:3000'],
      trackingPlan: {
        mode: 'strict',
        events: { 'A/B': { schema: 'schemas/a.json' }, C: { schema: { type: 'object' } } },
      },
      eventsPerSecondMax: 500,
      keepIp: true,
    })
    assert.deepEqual(parsed, {
      kind: 'source',
      source: {
        sourceId: 'web',
        writeKeys: ['wk_12345678'],
        allowedOrigins: ['https://shop.example', 'http://localhost:3000'],
        trackingPlan: {
          mode: 'strict',
          events: {
            'A/B': { schema: { kind: 'file', file: 'schemas/a.json' } },
            C: { schema: { kind: 'inline', schema: { type: 'object' } } },
          },
        },
        eventsPerSecondMax: 500,
        keepIp: true,
      },
    })
  })

  const faulty: readonly [string, unknown, string][] = [
    ['no mapping', [], ''],
    ['no name', { writeKeys: ['wk_12345678'] }, '/name'],
    ['a name with a slash', { ...good, name: '../web' }, '/name'],
    ['no write keys', { name: 'web', writeKeys: [] }, '/writeKeys'],
    ['a short write key', { name: 'web', writeKeys: ['short'] }, '/writeKeys/0'],
    ['a write key twice', { name: 'web', writeKeys: ['wk_12345678', 'wk_12345678'] }, '/writeKeys'],
    [
      'an origin with a path',
      { ...good, allowedOrigins: ['https://a.example/'] },
      '/allowedOrigins/0',
    ],
    ['an origin that is a star', { ...good, allowedOrigins: ['*'] }, '/allowedOrigins/0'],
    ['a rate of nothing', { ...good, eventsPerSecondMax: 0 }, '/eventsPerSecondMax'],
    ['a rate that is text', { ...good, eventsPerSecondMax: '9' }, '/eventsPerSecondMax'],
    ['addresses that are kept perhaps', { ...good, keepIp: 'yes' }, '/keepIp'],
    ['an unknown name', { ...good, writeKey: 'x' }, '/writeKey'],
    ['an unknown mode', { ...good, trackingPlan: { mode: 'x', events: {} } }, '/trackingPlan/mode'],
    ['a plan without events', { ...good, trackingPlan: {} }, '/trackingPlan/events'],
    [
      'a schema file outside the folder',
      { ...good, trackingPlan: { events: { A: { schema: '../../etc/a.json' } } } },
      '/trackingPlan/events/A/schema',
    ],
  ]
  for (const [says, input, path] of faulty) {
    it(`refuses ${says}, with the path`, () => {
      const parsed = parseSource(input)
      const paths = parsed.kind === 'refused' ? parsed.faults.map((fault) => fault.path) : []
      assert.deepEqual(paths, [path])
    })
  }

  it('reports all faults at once', () => {
    const parsed = parseSource({ name: '', writeKeys: 1, extra: 1 })
    assert.equal(parsed.kind === 'refused' ? parsed.faults.length : 0, 3)
  })
})
