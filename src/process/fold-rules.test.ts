import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type LogRecord, type NewRecord } from '../log/record.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { compileDefinitions, emptyDocument } from './definitions.ts'
import { foldRules, foldRulesVersion } from './fold-rules.ts'
import { createMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'

const goldenPath = new URL('../../test/fixtures/fold-rules.json', import.meta.url)
const startMs = 1_800_000_000_000
const minuteMs = 60_000

describe('the rules of the fold', () => {
  it('give the state of their version', async () => {
    const golden = JSON.parse(await readFile(goldenPath, 'utf8')) as Record<string, string>
    const says =
      'the same records give another state: raise foldRulesVersion and add its hash to ' +
      'test/fixtures/fold-rules.json (while its version is in no release, replace the hash)'
    assert.equal(await hashOfFixedLog(), golden[foldRulesVersion], says)
  })

  it('stop at a record that tells of others before it', () => {
    const record = (version: number, from: number) => {
      const skeleton = { version, previous: version - 1, from, stateHash: '' }
      return { ...recordOf('rules', 'control:0', 0, skeleton), offset: 9 }
    }
    const meta = { ...createMeta(2), rules: [2, 7] as [number, number] }
    foldRules(meta, record(2, 7))
    foldRules({ ...meta, rules: [3, 7] }, record(2, 7))
    for (const [version, from] of [
      [2, 0],
      [2, 8],
      [1, 7],
    ] as const) {
      const other = { ...meta, rules: [version, from] as [number, number] }
      assert.throws(() => foldRules(other, record(2, 7)), { code: 'RULES_DIFFER' })
    }
  })
})

/** Events, a login, a window that ends, a passage with a wait, a claim, a suppression, items. */
async function hashOfFixedLog(): Promise<string> {
  const log = createMemoryEventLog({ identity: { incarnation: 'golden', partitionCount: 1 } })
  const state = createMemoryStateStore()
  const compiled = compileDefinitions(shop, 'd'.repeat(64))
  if (compiled.kind === 'refused') throw new Error(JSON.stringify(compiled.faults))
  const owner = { epoch: 1, nonce: 'n' }
  await state.acquire(0, owner.epoch, owner.nonce)
  const item = { itemId: 'cup', name: 'Cup', price: 4, updatedAtMs: startMs }
  const suppression = { topic: '*', reason: 'bounced', atMs: startMs, isLifted: false }
  const part = { leaderKey: 'user:ada', atMs: 5, keyCount: 1 }
  await log.append([
    recordOf('owner', 'control:0', 0, { ...owner, historyMs: 90 * 24 * 60 * minuteMs }),
    recordOf('definitions', 'control:0', 0, { hash: 'd'.repeat(64), version: 1 }),
    recordOf('item', 'item:cup', 1, {}, item),
    event('anonymous:a1', 2, { name: 'Product Viewed', anonymousId: 'a1' }),
    event('user:ada', 3, { name: 'Product Viewed' }),
    event('user:ada', 4, {
      type: 'identify',
      name: 'Identified',
      traits: { email: 'a@b.example' },
    }),
    recordOf('identity-claim', 'anonymous:a1', 5, part),
    event('user:ada', 6, { name: 'Product Viewed' }),
    event('user:ada', 7, { name: 'Product Added' }),
    recordOf('suppress', 'address:x', 8, suppression),
    recordOf('tick', 'control:0', 6 * minuteMs, owner),
    event('user:bob', 7 * minuteMs, { name: 'Order Completed', userId: 'bob' }),
    recordOf('tick', 'control:0', 30 * minuteMs, owner),
  ])
  const definitionsOf = async () => compiled.definitions
  const options = { workspace: 'default', partitionCount: 1, partition: 0 }
  const fold = new PartitionFold({ log, state, definitionsOf }, options)
  await fold.open(await state.head(0))
  while (fold.cursor < (await log.end(0))) {
    await fold.fold(await log.read(0, fold.cursor, 100), () => false)
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit(owner, 'golden')
    assert.deepEqual(await state.commit([commit]), ['committed'])
    fold.committed(commit)
  }
  return await hashPartition(state, 0)
}

const shop = {
  ...emptyDocument,
  templates: { mail: { name: 'mail', html: '', subject: '', text: null } },
  segments: [
    {
      name: 'viewers',
      content: { event: 'Product Viewed', count: { atLeast: 2 }, within: '10m' },
    },
  ],
  campaigns: [
    {
      name: 'cart',
      trigger: { event: 'Product Added' },
      steps: [{ wait: '5m' }, { send: { template: 'mail', topic: 'news' } }],
      exit: [{ event: 'Order Completed' }],
    },
  ],
}

function event(key: string, atMs: number, given: Readonly<Record<string, unknown>>): NewRecord {
  const at = startMs + atMs
  const userId = key.startsWith('user:') ? { userId: key.slice(5) } : {}
  const body = {
    ...{ eventId: `e${atMs}`, sourceId: 'web', type: 'track', occurredAtMs: at, receivedAtMs: at },
    ...{ ...userId, properties: { product_id: 'cup', price: 4 }, ...given },
  }
  return recordOf('event', key, atMs, { contentHash: atMs, name: given['name'] }, body)
}

function recordOf(
  kind: NewRecord['kind'],
  key: string,
  atMs: number,
  skeleton: unknown,
  body?: unknown,
): LogRecord {
  return {
    partition: 0,
    offset: 0,
    ...{ key, kind, skeleton, recordedAtMs: startMs + atMs, isBackfill: false, keyId: 0 },
    id: sha256Bytes(`${kind} ${key} ${atMs}`, 16),
    body: body === undefined ? emptyBody : Buffer.from(JSON.stringify(body)),
  }
}
