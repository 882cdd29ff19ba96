/** `attune schemas infer` on a log that the real collector has filled. */

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createCollector } from '../../src/collect/collect-batch.ts'
import { defaultCollectorOptions } from '../../src/collect/collect-options.ts'
import { createSourceDirectory } from '../../src/collect/source-directory.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { openSqliteEventLog } from '../../src/log/sqlite-event-log.ts'
import { startLogThread } from '../../src/log/sqlite-log-thread.ts'
import { writeSmallShop } from '../faults/small-shop.ts'
import { parseLines, runCommand } from './run-command.ts'

interface Proposal {
  readonly event: string
  readonly count: number
  readonly refused: number
  readonly file: string
  readonly schema: { readonly required?: readonly string[]; readonly properties: object }
}

describe('attune schemas infer', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-schemas-'))
    const { code } = await runCommand(['init', '--data-dir', join(folder, 'data')])
    assert.equal(code, 0)
    await fill(join(folder, 'data'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const infer = (...given: readonly string[]) =>
    runCommand(['schemas', 'infer', '--data-dir', join(folder, 'data'), ...given])

  it('proposes a schema per event, and says what it was made from and would refuse', async () => {
    const { code, stdout, stderr } = await infer('--json')
    assert.equal(code, 0, stderr)
    const proposals = parseLines<Proposal>(stdout)
    assert.deepEqual(
      proposals.map(({ event, count, refused }) => [event, count, refused]),
      [
        ['Product Viewed', 60, 0],
        ['Order Completed', 30, 0],
        ['identify', 15, 0],
      ],
    )
    assert.deepEqual(proposals[0]?.schema.required, ['currency', 'price', 'product_id'])
    assert.match(stderr, /partition 64 of 64: 105 events/)
    assert.ok(!stdout.includes('Ada'), 'no value of a person is shown')
  })

  it('looks at one event where it is named, in any order of the flags', async () => {
    const { stdout } = await infer('--event', 'Order Completed', '--json')
    assert.deepEqual(
      parseLines<Proposal>(stdout).map(({ event }) => event),
      ['Order Completed'],
    )
    const none = await infer('--event', 'Nothing', '--json')
    assert.deepEqual([none.code, none.stdout], [1, ''])
  })

  it('writes files that validate takes', async () => {
    const out = join(folder, 'plan')
    const { code, stdout } = await infer('--out', out)
    assert.equal(code, 0)
    assert.match(stdout, /Product Viewed {2}from 60 events, of which it would refuse 0/)
    const shop = join(folder, 'shop')
    await writeSmallShop(shop)
    await cp(join(out, 'schemas'), join(shop, 'schemas'), { recursive: true })
    const source = await readFile(join(shop, 'sources/web.yaml'), 'utf8')
    const plan = await readFile(join(out, 'tracking-plan.yaml'), 'utf8')
    await writeFile(join(shop, 'sources/web.yaml'), source + plan)
    const valid = await runCommand(['validate', shop])
    assert.equal(valid.code, 0, valid.stdout)
    await writeFile(join(shop, 'schemas/product-viewed.json'), '{"pattern": "(a+)+"}')
    const spoiled = await runCommand(['validate', shop])
    assert.equal(spoiled.code, 1)
    assert.match(spoiled.stdout, /Product Viewed.*holds a repeat/)
    assert.equal((await infer('--out', out)).code, 2, 'a folder that is not empty is refused')
  })
})

/** Sends 60 views, 30 orders and 15 people through the collector. */
async function fill(dataDir: string): Promise<void> {
  const thread = await startLogThread(dataDir)
  const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })
  const kept = await openSqliteEventLog({ dataDir, stream: 'rejected', port: thread.connect() })
  const source = { sourceId: 'web', writeKeys: ['wk_12345678'] }
  const collector = createCollector(
    {
      ...{ log, rejected: kept, clock: systemClock, random: createSeededRandom(5) },
      sources: createSourceDirectory([{ source }]),
      metrics: { accepted: () => {}, rejected: () => {} },
    },
    defaultCollectorOptions,
  )
  const batch = Array.from({ length: 105 }, (_, index) => {
    const who = { userId: `u${index % 20}`, messageId: `m${index}` }
    const ids = { product_id: `p${index}`, price: `${index}.50`, currency: 'gbp' }
    if (index < 60) return { ...who, type: 'track', event: 'product_viewed', properties: ids }
    if (index >= 90) return { ...who, type: 'identify', traits: { firstName: 'Ada' } }
    const properties = { orderId: `o${index}`, total: index, products: [ids] }
    return { ...who, type: 'track', event: 'Completed Order', properties }
  })
  const body = { batch }
  const bytes = Buffer.from(JSON.stringify(body))
  const answer = await collector.collect('web', { kind: 'batch', body, bytes, isBackfill: false })
  assert.equal(answer.kind === 'taken' ? answer.acceptedCount : 0, 105)
  await log.close()
  await kept.close()
  await thread.close()
}
