/** Many timers due at once, with the state in SQLite. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { hashPartition } from '../state/dump.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import { commitCountMax, type StateReader, type StateStore } from '../state/state-store.ts'
import { compileDefinitions, emptyDocument } from './definitions.ts'
import { PartitionFold } from './partition-fold.ts'
import { dueMsOf, timerKey, timerPrefix } from './partition-view.ts'

const startMs = 1_800_000_000_000
const dayMs = 86_400_000
const owner = { epoch: 1, nonce: 'n' }
const timerPageCount = 512

describe('timers that are due at once', () => {
  it('fire in pieces that fit a commit, however much each of them starts', async (t) => {
    const personCount = 100
    const campaignCount = 200
    const log = await openLog()
    for (let index = 0; index < personCount; index++) await log.append([view(index, index)])
    await log.append([tick(dayMs)])
    const { state } = await openState(t)
    const commits = await foldAll(log, state, shopOf(campaignCount))
    const inPieces = commits.slice(0, -1).filter(({ offset }) => offset === personCount + 2)
    assert.ok(inPieces.length > 5, `${inPieces.length} pieces`)
    const most = Math.max(...commits.map(({ count }) => count))
    assert.ok(most < commitCountMax / 2, `${most} changes in a commit`)
    assert.equal((await state.scan(0, 'due/', '', 99_999)).length, personCount * campaignCount)
  })

  it('come to the same where the fold is opened again between any pieces', async (t) => {
    const shop = shopOf(1)
    const log = await openLog()
    for (let index = 0; index < 800; index++) await log.append([view(index, index)])
    await log.append([tick(dayMs), view(0, dayMs + 1), tick(2 * dayMs)])
    const { state } = await openState(t)
    await foldAll(log, state, shop)
    const { state: other } = await openState(t)
    const commits = await foldAll(log, other, shop, true)
    assert.ok(commits.filter(({ offset }) => offset === 802).length > 2)
    assert.equal(await hashPartition(other, 0), await hashPartition(state, 0))
    const [left] = await state.scan(0, timerPrefix, '', 1)
    assert.ok(left === undefined || dueMsOf(left.key) > startMs + 2 * dayMs)
  })

  it('are not read by a start, but for one page', async (t) => {
    const log = await openLog()
    const { state } = await openState(t)
    const head = { ...owner, lastRecordId: '', incarnation: 'test', offset: 0, previousOffset: 0 }
    for (let from = 0; from < 60_000; from += commitCountMax) {
      const changes = Array.from({ length: commitCountMax }, (_, index) => ({
        key: timerKey(startMs + dayMs + from + index, `user:p${from + index}`, 'segment:gone'),
        value: emptyBody,
      }))
      await state.commit([{ partition: 0, ...head, changes }])
    }
    let readCount = 0
    const counting: StateReader = {
      head: (partition) => state.head(partition),
      get: (partition, keys) => state.get(partition, keys),
      async scan(partition, prefix, after, countMax) {
        const page = await state.scan(partition, prefix, after, countMax)
        readCount += page.length
        return page
      },
    }
    const fold = await openFold(log, counting, shopOf(1))
    assert.equal(dueMsOf((await fold.firstTimer()) ?? ''), startMs + dayMs)
    await fold.fold(await log.read(0, 0, 10), () => false)
    assert.ok(readCount <= timerPageCount, `${readCount} keys read`)
  })
})

interface Committed {
  readonly offset: number
  readonly count: number
}

/** Folds to the end; `isOpenedAgain` forgets all that is in memory after each commit. */
async function foldAll(
  log: MemoryEventLog,
  state: StateStore,
  shop: ReturnType<typeof shopOf>,
  isOpenedAgain = false,
): Promise<readonly Committed[]> {
  const commits: Committed[] = []
  let fold = await openFold(log, state, shop)
  while (fold.cursor < (await log.end(0))) {
    await fold.fold(await log.read(0, fold.cursor, 100), () => false)
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit(owner, 'test')
    assert.deepEqual(await state.commit([commit]), ['committed'])
    fold.committed(commit)
    commits.push({ offset: commit.offset, count: commit.changes.length })
    if (isOpenedAgain) fold = await openFold(log, state, shop)
  }
  return commits
}

async function openFold(
  log: MemoryEventLog,
  state: StateReader,
  shop: ReturnType<typeof shopOf>,
): Promise<PartitionFold> {
  const compiled = compileDefinitions(shop, 'd'.repeat(64))
  if (compiled.kind === 'refused') throw new Error(JSON.stringify(compiled.faults))
  const definitionsOf = async () => compiled.definitions
  const options = { workspace: 'default', partitionCount: 1, partition: 0 }
  const fold = new PartitionFold({ log, state, definitionsOf }, options)
  await fold.open(await state.head(0))
  return fold
}

async function openState(t: TestContext): Promise<{ readonly state: StateStore }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-timers-'))
  const state = await openSqliteStateStore({ dataDir })
  t.after(async () => {
    await state.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  await state.acquire(0, owner.epoch, owner.nonce)
  return { state }
}

/** Who has not looked for ten minutes enters a segment, and that starts all campaigns. */
function shopOf(campaignCount: number) {
  return {
    ...emptyDocument,
    templates: { mail: { name: 'mail', html: '', subject: '', text: null } },
    segments: [
      {
        name: 'gone',
        content: { not: { event: 'Product Viewed', count: { atLeast: 1 }, within: '10m' } },
      },
    ],
    campaigns: Array.from({ length: campaignCount }, (_, index) => ({
      name: `back-${index}`,
      trigger: { segment: 'gone' },
      steps: [{ send: { template: 'mail', topic: 'news' } }],
    })),
  }
}

async function openLog(): Promise<MemoryEventLog> {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  await log.append([
    recordOf('owner', 0, owner),
    recordOf('definitions', 0, { hash: 'd'.repeat(64), version: 1 }),
  ])
  return log
}

function tick(atMs: number): NewRecord {
  return recordOf('tick', atMs, owner)
}

function view(person: number, atMs: number): NewRecord {
  const at = startMs + atMs
  const body = {
    ...{ eventId: `e${person}-${atMs}`, sourceId: 'web', type: 'track', name: 'Product Viewed' },
    ...{ userId: `p${person}`, occurredAtMs: at, receivedAtMs: at, properties: {} },
  }
  const record = recordOf('event', atMs, {}, Buffer.from(JSON.stringify(body)))
  return { ...record, key: `user:p${person}`, id: sha256Bytes(`${person} ${atMs}`, 16) }
}

function recordOf(
  kind: NewRecord['kind'],
  atMs: number,
  skeleton: unknown,
  body: Uint8Array = emptyBody,
): NewRecord {
  return {
    ...{ partition: 0, key: 'control:0', kind, skeleton, body, keyId: 0, isBackfill: false },
    recordedAtMs: startMs + atMs,
    id: sha256Bytes(`${kind} ${atMs}`, 16),
  }
}
