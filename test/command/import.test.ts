/** `attune import` as an operator uses it, on files and on a real server. */

import assert from 'node:assert/strict'
import { appendFile, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { lockDataDir } from '../../src/command/data-dir.ts'
import {
  accessLine,
  type ImportWorld,
  openImportWorld,
  readEvents,
  readRecords,
  readRejected,
  runImport,
} from './import-harness.ts'

interface FileResult {
  readonly file: string
  readonly outcome: string
  readonly resumedAt: number
  readonly counts: {
    readonly rows: number
    readonly accepted: number
    readonly events: number
    readonly refused: number
    readonly dropped: Readonly<Record<string, number>>
  }
}

const resultOf = (stdout: string): FileResult => JSON.parse(stdout.trim()) as FileResult

const csv = [
  'userId,event,timestamp,properties.price,traits.email',
  'u1,Product Viewed,2026-11-01T10:00:00Z,4.95,',
  'u2,,2026-11-01T10:00:00Z,,u2@shop.example',
  'u3,Product Viewed,2026-11-01T10:00:00Z,abc,',
  'u4,too few',
  'guest,Product Viewed,2026-11-01T10:00:00Z,1,',
  '',
  'u5,Product Viewed,2026-11-01T10:00:00Z,1,u5@shop.example',
  '',
].join('\n')

describe('import into a data directory', () => {
  let world: ImportWorld
  before(async () => {
    world = await openImportWorld('dir')
    await writeFile(world.path('shop.csv'), csv)
  })
  after(() => world.close())

  const run = (...given: readonly string[]) => runImport([...given, '--data-dir', world.dataDir])

  it('judges all rows and writes nothing in a dry run', async () => {
    const { code, stdout } = await run(world.path('shop.csv'), '--format', 'csv', '--dry-run')
    assert.match(stdout, /7 rows, 3 accepted as 4 events, 3 refused, 1 dropped \(1 blank\) \(dry/)
    assert.equal(code, 1)
    assert.deepEqual(await readRecords(world.dataDir, 'events'), [])
    assert.deepEqual(await readRecords(world.dataDir, 'rejected'), [])
  })

  it('imports each row once, shows what is refused by file and line, and keeps it', async () => {
    const file = world.path('shop.csv')
    const { code, stdout, stderr } = await run(file, '--format', 'csv', '--json')
    assert.equal(code, 1)
    const { counts, outcome } = resultOf(stdout)
    assert.equal(outcome, 'imported')
    assert.deepEqual(
      [counts.rows, counts.accepted, counts.events, counts.refused, counts.dropped],
      [7, 3, 4, 3, { blank: 1 }],
    )
    assert.ok(stderr.includes(`${file}:4: properties.price The text is no number.\n`))
    assert.ok(stderr.includes(`${file}:5: The row has 2 fields; the header has 5.\n`))
    assert.match(stderr, /shop\.csv:6: \/userId The id is a placeholder/)
    const events = await readEvents(world.dataDir)
    const shown = events.map(({ userId, name, sourceId }) => `${sourceId} ${userId} ${name}`)
    assert.deepEqual(shown.sort(), [
      'import u1 Product Viewed',
      'import u2 identify',
      'import u5 Product Viewed',
      'import u5 identify',
    ])
    const first = events.find(({ userId }) => userId === 'u1')
    assert.equal(first?.occurredAtMs, Date.UTC(2026, 10, 1, 10))
    assert.deepEqual(first.properties, { price: 4.95 })
    const records = await readRecords(world.dataDir, 'events')
    assert.ok(records.every(({ isBackfill }) => isBackfill))
    const rejected = await readRejected(world.dataDir)
    assert.deepEqual(
      rejected.map(({ reason, item }) => [reason, item['line'], item['says'] ?? null]),
      [
        ['type-unknown', 4, 'The text is no number.'],
        ['type-unknown', 5, 'The row has 2 fields; the header has 5.'],
        ['id-invalid', undefined, null],
      ],
    )
  })

  it('does nothing for a file that was imported, under any name, packed, or piped', async () => {
    await copyFile(world.path('shop.csv'), world.path('other.csv'))
    await writeFile(world.path('shop.csv.gz'), gzipSync(csv))
    const count = (await readRecords(world.dataDir, 'events')).length
    const files = ['shop.csv', 'other.csv', 'shop.csv.gz'].map(world.path)
    const { code, stdout } = await run(...files, '--format', 'csv')
    assert.equal(code, 0)
    assert.equal(stdout.match(/was imported before/g)?.length, 3)
    const given = ['-', '--format', 'csv', '--data-dir', world.dataDir, '--json']
    const piped = await runImport(given, { stdin: csv })
    assert.equal(resultOf(piped.stdout).outcome, 'unchanged', piped.stderr)
    const inflated = await runImport(given, { stdin: gzipSync(csv) })
    assert.equal(resultOf(inflated.stdout).outcome, 'unchanged', inflated.stderr)
    assert.equal((await readRecords(world.dataDir, 'events')).length, count)
  })

  it('reads only what came to a file, and refuses a pipe that is another one', async () => {
    await appendFile(world.path('shop.csv'), 'u6,Product Viewed,2026-11-02T10:00:00Z,2,\n')
    const { code, stdout } = await run(world.path('shop.csv'), '--format', 'csv', '--json')
    assert.equal(code, 0)
    const { counts, resumedAt } = resultOf(stdout)
    assert.equal(resumedAt, csv.length)
    assert.equal(counts.rows, 8)
    const events = await readEvents(world.dataDir)
    assert.equal(events.filter(({ userId }) => userId === 'u6').length, 1)
    const other = csv.replace('u5@shop.example', 'u7@shop.example')
    const given = ['-', '--format', 'csv', '--data-dir', world.dataDir]
    const refused = await runImport(given, { stdin: other })
    assert.match(refused.stderr, /INPUT_CHANGED: go on behind byte \d+ of standard input/)
    assert.equal(refused.code, 1)
  })

  it('gives the same event ids again with --again', async () => {
    const before = await readEvents(world.dataDir)
    const { stdout } = await run(world.path('other.csv'), '--format', 'csv', '--again', '--json')
    assert.equal(resultOf(stdout).counts.events, 4)
    const all = await readEvents(world.dataDir)
    assert.equal(all.length, before.length + 4)
    assert.equal(new Set(all.map(({ eventId }) => eventId)).size, before.length)
  })

  it('takes events as Segment has them, live ones too, with their own ids', async () => {
    const lines = [
      { type: 'track', userId: 'n1', event: 'Seen', messageId: 'own-1' },
      { userId: 'n2', event: 'Seen', timestamp: '2026-11-01T10:00:00Z' },
      { type: 'identify', userId: 'n3', traits: { email: 'n3@shop.example' } },
    ]
    const text = `${lines.map((line) => JSON.stringify(line)).join('\n')}\nbroken\n`
    await writeFile(world.path('events.ndjson'), text)
    const given = ['--format', 'ndjson', '--live', '--source', 'history']
    const { code, stderr } = await run(world.path('events.ndjson'), ...given)
    assert.equal(code, 1)
    assert.match(stderr, /events\.ndjson:4: The line is no JSON object/)
    const records = await readRecords(world.dataDir, 'events')
    const live = records.filter(({ isBackfill }) => !isBackfill)
    assert.equal(live.length, 3)
    const events = await readEvents(world.dataDir)
    const own = events.find(({ eventId }) => eventId === 'own-1')
    assert.equal(own?.sourceId, 'history')
  })

  it('says what to do where a server has the directory, or a file is not there', async () => {
    const lock = await lockDataDir(world.dataDir)
    const locked = await run(world.path('shop.csv'), '--format', 'csv')
    lock.release()
    assert.equal(locked.code, 1)
    assert.match(locked.stderr, /DATA_DIR_LOCKED: .*with --url URL --write-key KEY/)
    const missing = await run(world.path('nothing.csv'), '--format', 'csv')
    assert.match(missing.stderr, /INPUT_UNREADABLE: read .*nothing\.csv/)
    assert.equal(missing.code, 1)
    await writeFile(world.path('cut.csv.gz'), gzipSync(csv.repeat(50)).subarray(0, 60))
    const cut = await run(world.path('cut.csv.gz'), '--format', 'csv')
    assert.match(cut.stderr, /INPUT_UNREADABLE: read .*cut\.csv\.gz/)
  })

  it('refuses wrong use, and files whose columns cannot be read, with exit code 2', async () => {
    await writeFile(world.path('foreign.csv'), 'Kunde;Preis\n1;2\n')
    await writeFile(world.path('utf16.csv'), Buffer.from(`\ufeff${csv}`, 'utf16le'))
    await writeFile(world.path('bad.yaml'), 'columns: {Kunde: who}\nothers: keep\n')
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['foreign.csv', '--format', 'csv'], /foreign\.csv:1: The column Kunde has no place/],
      [['utf16.csv', '--format', 'csv'], /utf16\.csv:1: The file is UTF-16/],
      [['foreign.csv', '--format', 'csv', '--map', world.path('bad.yaml')], /bad\.yaml: \/others/],
      [['a.csv', '--format', 'xlsx'], /must be one of csv, ndjson/],
      [['a.csv', '--format', 'csv', '--follow'], /--follow is for logs/],
      [['a.csv', '--format', 'singer'], /from standard input/],
    ]
    for (const [[file = '', ...given], says] of cases) {
      const { code, stderr } = await run(world.path(file), ...given)
      assert.match(stderr, says)
      assert.equal(code, 2, stderr)
    }
  })
})

describe('import through a server', () => {
  it('waits when it is told to, halves what is too large, counts what is answered', async () => {
    const world = await openImportWorld('fake')
    const asked: { path: string; count: number; atMs: number }[] = []
    const server = createServer((request, response) => {
      let text = ''
      request.on('data', (bytes: Buffer) => {
        text += bytes.toString()
      })
      request.on('end', () => {
        const { batch } = JSON.parse(text) as { batch: readonly { messageId: string }[] }
        asked.push({ path: request.url ?? '', count: batch.length, atMs: performance.now() })
        const answer = (status: number, body: object, headers = {}): void => {
          response.writeHead(status, headers).end(JSON.stringify(body))
        }
        if (asked.length === 1) answer(429, { code: 'overloaded' }, { 'retry-after': '1' })
        else if (asked.length === 2) request.socket.destroy()
        else if (batch.length > 60) answer(413, { code: 'batch-too-long', detail: 'too many' })
        else {
          const results = batch.map(({ messageId }) => ({ status: 'accepted', eventId: messageId }))
          answer(200, { success: true, results })
        }
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    const { port } = server.address() as AddressInfo
    const lines = Array.from({ length: 100 }, (_, index) => accessLine(index))
    await writeFile(world.path('access.log'), lines.join(''))
    const given = ['--url', `http://127.0.0.1:${port}`, '--write-key', 'wk_test', '--json']
    const file = [world.path('access.log'), '--format', 'nginx']
    const { code, stdout, stderr } = await runImport([...file, ...given], { cwd: world.folder })
    assert.equal(code, 0, stderr)
    assert.equal(resultOf(stdout).counts.events, 100)
    assert.deepEqual(
      asked.map(({ count }) => count),
      [100, 100, 100, 50, 50],
    )
    assert.ok((asked[1]?.atMs ?? 0) - (asked[0]?.atMs ?? 0) >= 1000)
    assert.ok(asked.every(({ path }) => path === '/v1/import?verbose=1'))
    assert.match(stderr, /answered overloaded.*trying again in 1 s/)
    assert.match(stderr, /SERVER_UNREACHABLE|send 100 events to .*; trying again/)
    // The place is in a state file of the folder: nothing is sent again.
    const again = await runImport([...file, ...given], { cwd: world.folder })
    assert.equal(resultOf(again.stdout).outcome, 'unchanged', again.stderr)
    assert.equal(asked.length, 5)
    server.closeAllConnections()
    server.close()
    await world.close()
  })

  it('ends at once where the key is not known', async () => {
    const world = await openImportWorld('key')
    const server = createServer((_request, response) => {
      response.writeHead(401).end(JSON.stringify({ code: 'source-unknown', detail: 'Unknown.' }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    const { port } = server.address() as AddressInfo
    await mkdir(world.path('sub'))
    await writeFile(world.path('sub/access.log'), accessLine(1))
    const given = ['--url', `http://127.0.0.1:${port}`, '--write-key', 'wk_other']
    const file = [world.path('sub/access.log'), '--format', 'nginx']
    const { code, stderr } = await runImport([...file, ...given], { cwd: world.folder })
    assert.match(stderr, /SERVER_REFUSED: .*source-unknown: Unknown/)
    assert.equal(code, 1)
    assert.equal((await readFile(world.path('.attune-import.sqlite'))).length > 0, true)
    server.closeAllConnections()
    server.close()
    await world.close()
  })
})
