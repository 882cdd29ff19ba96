import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSource } from './source.ts'

const anything = { kind: 'inline', schema: {} }
const planOf = (event: unknown) => ({ ...good, trackingPlan: { events: { A: event } } })
const good = { name: 'web', writeKeys: ['wk_12345678'] }

describe('parseSource', () => {
  it('takes a whole source', () => {
    const parsed = parseSource({
      ...good,
      allowedOrigins: ['https://shop.example', 'http://localhost:3000'],
      trackingPlan: {
        mode: 'strict',
        events: {
          'A/B': { schema: 'schemas/a.json' },
          C: { mode: 'lenient', schema: { type: 'object' } },
          D: { versions: { 10: { schema: {} }, 2: { schema: 'd.json' }, 1: 'removed' } },
          E: { default: 1, versions: { 1: { schema: {} }, 2: { schema: {} } } },
        },
      },
      eventsPerSecondMax: 500,
      keepIp: true,
      sessionIdleMinutes: 0,
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
            C: { mode: 'lenient', schema: { kind: 'inline', schema: { type: 'object' } } },
            D: {
              versions: [
                { version: 1 },
                { version: 2, schema: { kind: 'file', file: 'd.json' } },
                { version: 10, schema: anything },
              ],
              defaultVersion: 10,
            },
            E: {
              versions: [
                { version: 1, schema: anything },
                { version: 2, schema: anything },
              ],
              defaultVersion: 1,
            },
          },
        },
        eventsPerSecondMax: 500,
        keepIp: true,
        sessionIdleMinutes: 0,
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
    ['a pause of two days', { ...good, sessionIdleMinutes: 2880 }, '/sessionIdleMinutes'],
    ['a broken pause', { ...good, sessionIdleMinutes: 1.5 }, '/sessionIdleMinutes'],
    ['a rate that is text', { ...good, eventsPerSecondMax: '9' }, '/eventsPerSecondMax'],
    ['addresses that are kept perhaps', { ...good, keepIp: 'yes' }, '/keepIp'],
    ['an unknown name', { ...good, writeKey: 'x' }, '/writeKey'],
    ['an unknown mode', { ...good, trackingPlan: { mode: 'x', events: {} } }, '/trackingPlan/mode'],
    ['a plan without events', { ...good, trackingPlan: {} }, '/trackingPlan/events'],
    [
      'a schema file outside the folder',
      planOf({ schema: '../../etc/a.json' }),
      '/trackingPlan/events/A/schema',
    ],
    [
      'an unknown mode of an event',
      planOf({ mode: 'x', schema: {} }),
      '/trackingPlan/events/A/mode',
    ],
    [
      'an unknown name of an event',
      planOf({ schema: {}, versoins: {} }),
      '/trackingPlan/events/A/versoins',
    ],
    ['an event without versions', planOf({ versions: {} }), '/trackingPlan/events/A/versions'],
    [
      'an event with none but removed versions',
      planOf({ versions: { 1: 'removed' } }),
      '/trackingPlan/events/A/versions',
    ],
    [
      'a version that is no whole number',
      planOf({ versions: { '1.5': { schema: {} } } }),
      '/trackingPlan/events/A/versions/1.5',
    ],
    [
      'a default that is removed',
      planOf({ default: 1, versions: { 1: 'removed', 2: { schema: {} } } }),
      '/trackingPlan/events/A/default',
    ],
    [
      'a version with a schema outside the folder',
      planOf({ versions: { 2: { schema: '/etc/a.json' } } }),
      '/trackingPlan/events/A/versions/2/schema',
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
