/** Streams of Singer taps, one of them a real one, and what becomes of their states. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { hasSinger, singerIsMissing, singerTap } from '../../scripts/service-singer.ts'
import {
  endOf,
  type ImportWorld,
  openImportWorld,
  readEvents,
  readRecords,
  runImport,
  startImport,
} from './import-harness.ts'

const given = ['-', '--format', 'singer']
const schema = {
  type: 'SCHEMA',
  stream: 'orders',
  schema: { properties: { id: {}, customer_id: {}, created_at: {}, total: {} } },
  key_properties: ['id'],
}
const orderOf = (id: number) => {
  const record = { id, customer_id: `c${id % 7}`, created_at: '2026-11-01T10:00:00Z', total: id }
  return { type: 'RECORD', stream: 'orders', record }
}
const linesOf = (messages: readonly unknown[]): string =>
  messages.map((message) => `${JSON.stringify(message)}\n`).join('')

describe('a Singer tap', () => {
  let world: ImportWorld
  before(async () => {
    world = await openImportWorld('singer')
  })
  after(() => world.close())

  it('has each state printed when its records are durable, and not before', async () => {
    const child = startImport([...given, '--data-dir', world.dataDir])
    const ended = endOf(child)
    const states = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    const durableAtState: number[] = []
    const printed: string[] = []
    let total = 0
    child.stdin?.write(linesOf([schema]))
    const sendRound = (round: number): void => {
      const count = 10 + round
      const orders = Array.from({ length: count }, (_, index) => orderOf(total + index))
      total += count
      child.stdin?.write(linesOf([...orders, { type: 'state', value: { round } }]))
    }
    sendRound(0)
    for await (const line of states) {
      printed.push(line)
      durableAtState.push((await readRecords(world.dataDir, 'events')).length - total)
      if (printed.length < 5) sendRound(printed.length)
      else child.stdin?.end()
    }
    const { code, stderr } = await ended
    assert.equal(code, 0, stderr)
    assert.deepEqual(
      printed,
      [0, 1, 2, 3, 4].map((round) => JSON.stringify({ round })),
    )
    assert.deepEqual(durableAtState, [0, 0, 0, 0, 0])
    assert.match(stderr, /66 rows|60 accepted as 60 events/)
  })

  it('prints no state whose records were not kept', async () => {
    const orders = Array.from({ length: 50 }, (_, index) => orderOf(10_000 + index))
    const child = startImport([...given, '--data-dir', world.dataDir], {
      failpoint: 'log-before-commit:1',
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(linesOf([schema, ...orders, { type: 'STATE', value: 'not durable' }]))
    const { code, stdout } = await endOf(child)
    assert.equal(code, null)
    assert.equal(stdout, '')
  })

  it('takes what a tap should not say as refused rows, and other messages aloud', async () => {
    const stdin = linesOf([
      orderOf(1),
      schema,
      { type: 'ACTIVATE_VERSION', stream: 'orders', version: 1 },
      { type: 'BATCH', stream: 'orders' },
      { type: 'RECORD', stream: 'orders', record: { id: 900 } },
      { type: 'STATE', value: 1 },
    ])
    const { code, stdout, stderr } = await runImport([...given, '--data-dir', world.dataDir], {
      stdin,
    })
    assert.equal(code, 1)
    assert.equal(stdout, '1\n')
    assert.match(stderr, /stdin:1: The record comes before the SCHEMA of its stream/)
    assert.match(stderr, /stdin:5: An event needs a userId or an anonymousId/)
    assert.match(stderr, /1 messages of type ACTIVATE_VERSION were passed over/)
    assert.match(stderr, /1 messages of type BATCH were passed over/)
  })

  const isHere = hasSinger()
  it('that is real brings people and orders, twice the same', skipUnless(isHere), async () => {
    const people = [
      { id: 1, email: 'ada@shop.example', city: 'Leeds' },
      { id: 2, email: 'bob@shop.example', city: 'York' },
    ]
    await writeFile(world.path('customers.jsonl'), linesOf(people))
    const before = (await readEvents(world.dataDir)).length
    const config = world.path('tap.json')
    const settings = { path: world.path('customers.jsonl'), stream_name: 'customers' }
    await writeFile(config, JSON.stringify({ ...settings, primary_keys: ['id'] }))
    for (let run = 0; run < 2; run++) {
      const { program, parameters, environment } = singerTap()
      const env = { PATH: process.env['PATH'], ...environment }
      const tap = spawn(program, [...parameters, '--config', config], {
        env,
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      const child = startImport([...given, '--data-dir', world.dataDir])
      if (child.stdin !== null) tap.stdout.pipe(child.stdin)
      const { code, stdout, stderr } = await endOf(child)
      assert.equal(code, 0, stderr)
      const last = stdout.trim().split('\n').at(-1) ?? ''
      assert.match(last, /"bookmarks":\{"customers"/)
    }
    const events = (await readEvents(world.dataDir)).filter(({ type }) => type === 'identify')
    assert.deepEqual(
      new Set(events.map(({ userId, traits }) => `${userId} ${JSON.stringify(traits)}`)),
      new Set([
        '1 {"email":"ada@shop.example","city":"Leeds"}',
        '2 {"email":"bob@shop.example","city":"York"}',
      ]),
    )
    // The fold drops what comes again by its id.
    assert.equal(new Set(events.map(({ eventId }) => eventId)).size, 2)
    assert.equal((await readEvents(world.dataDir)).length, before + 4)
  })
})

function skipUnless(isHere: boolean): { readonly skip: string | false } {
  return { skip: isHere ? false : singerIsMissing }
}
