import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OptionTable } from '../src/lib/option.ts'
import { parseConfig } from '../src/lib/parse-config.ts'
import { makeReference, printReference, staleFiles } from './make-reference.ts'

const table = {
  'mill.speedMax': { kind: 'integer', default: 3, min: 1, max: 9, unit: 'turns', says: 'Speed.' },
  'mill.url': { kind: 'url', schemes: ['https'], says: 'Where it is.' },
  colour: { kind: 'string', default: 'red', choices: ['red', 'blue'], says: 'Colour.' },
} as const satisfies OptionTable

describe('the reference pages', () => {
  it('are what the tables in the source say; else run `node scripts/make-reference.ts`', () => {
    assert.deepEqual(staleFiles(), [])
  })

  it('print a file that holds every option at its default', () => {
    const file = printReference(table)
    assert.match(file, /\/\/ Speed\.\n {4}\/\/ Values: 1 to 9 turns\.\n {4}"speedMax": 3,/)
    assert.match(file, /\/\/ "url": "https:\/\/host\.example",/)
    const parsed = parseConfig({ table, file, environment: {} })
    assert.ok(parsed.kind === 'config')
    const expected = { 'mill.speedMax': 3, 'mill.url': undefined, colour: 'red' }
    assert.deepEqual(parsed.values, expected)
  })

  it('name every error code and metric', () => {
    const pages = makeReference()
    assert.match(pages['docs/reference/errors.md'] ?? '', /\| `DISK_FULL` \| yes \| Free disk/)
    assert.match(
      pages['docs/reference/metrics.md'] ?? '',
      /`attune_collect_events_total` \| counter \| `outcome`/,
    )
  })
})
