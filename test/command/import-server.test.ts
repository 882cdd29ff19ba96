/**
 * Imports through a real server: killed and repeated, each row counts once and triggers nothing.
 */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { type MailCatcher, openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'
import {
  endOf,
  type ImportWorld,
  openImportWorld,
  readRecords,
  runImport,
  startImport,
} from './import-harness.ts'
import { runCommand, waitUntil } from './run-command.ts'

const personCount = 40
/** Several requests, so that a kill comes between two of them. */
const rowCount = 8_000

describe('an import through a server', () => {
  let world: ImportWorld
  let catcher: MailCatcher
  let server: ServerProcess
  before(async () => {
    world = await openImportWorld('server')
    await writeSmallShop(world.path('shop'))
    catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
    const places = { dataDir: world.dataDir, definitionsDir: world.path('shop') }
    const port = await freePort()
    server = await openServerProcess({ ...places, port, smtpPort: catcher.port })
    const rows = Array.from({ length: rowCount }, (_, index) => {
      const person = index % personCount
      const email = index < personCount ? `person-${person}@shop.example` : ''
      return `person-${person},Product Added,2026-11-01T10:00:00Z,cup,4,${email}\n`
    })
    const header = 'userId,event,timestamp,properties.product_id,properties.price,traits.email\n'
    await writeFile(world.path('rows.csv'), header + rows.join(''))
  })
  after(async () => {
    await stopServerProcess(server)
    await catcher.close()
    await world.close()
  })

  const countOf = async (userId: string, name: string): Promise<unknown> => {
    const given = ['profile', 'get', userId, '--json', '--data-dir', world.dataDir]
    const { stdout } = await runCommand(given)
    if (stdout === '') return undefined
    const { totals } = JSON.parse(stdout) as { totals: Record<string, { count: number }> }
    return totals[name]?.count
  }

  it('counts each row once after a kill and a repetition, and sends nothing', async () => {
    const target = ['--url', server.url, '--write-key', writeKey]
    const given = [world.path('rows.csv'), '--format', 'csv', ...target, '--json']
    const isBegun = async (): Promise<boolean> => {
      const records = await readRecords(world.dataDir, 'events')
      return records.filter(({ kind }) => kind === 'event').length >= 1000
    }
    const killed = startImport(given, { cwd: world.folder })
    const ended = endOf(killed)
    await waitUntil(isBegun)
    killed.kill('SIGKILL')
    await ended
    for (const again of [[], ['--again']]) {
      const { code, stdout, stderr } = await runImport([...given, ...again], { cwd: world.folder })
      assert.equal(code, 0, stderr)
      const { counts } = JSON.parse(stdout) as { counts: { rows: number } }
      assert.equal(counts.rows, rowCount)
    }
    const records = await readRecords(world.dataDir, 'events')
    const events = records.filter(({ kind }) => kind === 'event')
    assert.ok(events.length >= 2 * (rowCount + personCount))
    assert.ok(events.every(({ isBackfill }) => isBackfill))
    assert.equal(new Set(events.map(({ id }) => id.toString())).size, rowCount + personCount)

    // One more event of each, so that it is known when the fold has seen all before.
    const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
    const batch = Array.from({ length: personCount }, (_, person) => {
      return { type: 'track', userId: `person-${person}`, event: 'Asked' }
    })
    const response = await fetch(`${server.url}/v1/batch`, {
      method: 'POST',
      headers: { authorization },
      body: JSON.stringify({ batch }),
    })
    assert.equal(response.status, 200)
    for (const person of [0, 7, personCount - 1]) {
      const userId = `person-${person}`
      await waitUntil(async () => (await countOf(userId, 'Asked')) === 1)
      assert.equal(await countOf(userId, 'Product Added'), rowCount / personCount)
    }
    assert.equal(catcher.count, 0)

    // The same event does trigger where it is not of the past.
    await writeFile(
      world.path('live.csv'),
      'userId,event,properties.product_id\nperson-3,Product Added,cup\n',
    )
    const live = [world.path('live.csv'), '--format', 'csv', '--live', ...target]
    assert.equal((await runImport(live, { cwd: world.folder })).code, 0)
    await waitUntil(() => catcher.count > 0)
  })
})
