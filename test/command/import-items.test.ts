/** `attune import` of a catalog: into a data directory, killed and resumed; and through the API. */

import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { openWorld } from '../../src/api/world.fixture.ts'
import type { Item } from '../../src/catalog/item.ts'
import { findItems } from '../../src/delivery/read-state.ts'
import {
  endOf,
  type ImportWorld,
  openImportWorld,
  readRecords,
  runImport,
  startImport,
} from './import-harness.ts'
import { waitUntil } from './run-command.ts'

const header = 'itemId,name,price,stock,product_type,colour\n'
const killedCount = 20_000

interface Result {
  readonly outcome: string
  readonly resumedAt: number
  readonly counts: { readonly rows: number; readonly accepted: number; readonly refused: number }
}

const resultOf = (stdout: string): Result => JSON.parse(stdout.trim()) as Result

describe('import of a catalog', () => {
  let world: ImportWorld
  before(async () => {
    world = await openImportWorld('items')
  })
  after(() => world.close())

  const itemsOf = async (): Promise<ReadonlyMap<string, Item>> => {
    const records = await readRecords(world.dataDir, 'events')
    const items = records
      .filter(({ kind }) => kind === 'item')
      .map(({ body }) => JSON.parse(Buffer.from(body).toString()) as Item)
    return new Map(items.map((item) => [item.itemId, item]))
  }

  it('takes good rows, names the line of each other, and goes on behind its place', async () => {
    const path = world.path('catalog.csv')
    const rows = 'a,Cup,12.50 EUR,3,Home > Cups,red\nb,Towel,NaN,1,,\nc,,1,1,,\nd,Jar,2,0,,\n'
    await writeFile(path, header + rows)
    const given = [path, '--format', 'items-csv', '--data-dir', world.dataDir, '--json']
    const first = await runImport(given)
    assert.equal(first.code, 1)
    const { counts } = resultOf(first.stdout)
    assert.deepEqual([counts.rows, counts.accepted, counts.refused], [4, 2, 2])
    assert.match(first.stderr, /catalog\.csv:3: price must be an amount/)
    assert.match(first.stderr, /catalog\.csv:4: .*'name'/)
    const items = await itemsOf()
    assert.deepEqual([...items.keys()].sort(), ['a', 'd'])
    const { updatedAtMs, ...cup } = items.get('a') ?? assert.fail('no cup')
    assert.ok(updatedAtMs > 0)
    assert.deepEqual(cup, {
      ...{ itemId: 'a', name: 'Cup', price: 12.5, currency: 'EUR', stockCount: 3 },
      ...{ categoryPath: ['Home', 'Cups'], category: 'Cups', extra: { colour: 'red' } },
    })
    await appendFile(path, 'e,Pan,3,1,,\n')
    const second = await runImport(given)
    assert.equal(second.code, 0, second.stderr)
    assert.ok(resultOf(second.stdout).resumedAt > 0)
    assert.ok((await itemsOf()).has('e'))
  })

  it('has every row after a kill and a second run', async () => {
    const path = world.path('large.ndjson')
    const lines = Array.from({ length: killedCount }, (_, index) => {
      return `${JSON.stringify({ itemId: `k${index}`, name: `Item ${index}`, price: index })}\n`
    })
    await writeFile(path, lines.join(''))
    const given = [path, '--format', 'items-ndjson', '--data-dir', world.dataDir, '--json']
    const killed = startImport(given)
    const ended = endOf(killed)
    await waitUntil(async () => (await readRecords(world.dataDir, 'events')).length > 1000)
    killed.kill('SIGKILL')
    await ended
    const { code, stdout, stderr } = await runImport(given)
    assert.equal(code, 0, stderr)
    assert.equal(resultOf(stdout).counts.rows, killedCount)
    const items = await itemsOf()
    assert.equal([...items.keys()].filter((id) => id.startsWith('k')).length, killedCount)
  })

  it('goes through the API of a server, and names the line that it refused', async (t) => {
    const api = await openWorld(t)
    await api.app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = api.app.server.address() as AddressInfo
    const path = world.path('api.csv')
    // The command reads the amount; only the server knows that it is too large.
    await writeFile(path, `${header}x,Box,5,1,,\ny,Sky,999999999999,1,,\nz,Bag,6,1,,\n`)
    const key = api.keys.write.authorization.slice('Bearer '.length)
    const target = ['--url', `http://127.0.0.1:${port}`, '--api-key', key]
    const given = [path, '--format', 'items-csv', ...target, '--json']
    const { code, stdout, stderr } = await runImport(given, { cwd: world.folder })
    assert.equal(code, 1, stderr)
    assert.match(stderr, /api\.csv:3: \/price /)
    assert.equal(resultOf(stdout).counts.accepted, 2)
    await api.settle()
    const found = await findItems(api.deps.place, ['x', 'y', 'z'])
    assert.deepEqual([...found.keys()].sort(), ['x', 'z'])
  })

  it('is of no source', async () => {
    const given = [world.path('c.csv'), '--format', 'items-csv', '--source', 'web']
    const { code, stderr } = await runImport(given)
    assert.equal(code, 2)
    assert.match(stderr, /a catalog has no --source/)
  })
})
