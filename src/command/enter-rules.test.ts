import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { openSqliteEventLog } from '../log/sqlite-event-log.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { noDefinitions } from '../process/definitions.ts'
import { encodeJson, metaKey, readMeta } from '../process/meta.ts'
import { PartitionFold } from '../process/partition-fold.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { basesDirOf, chooseBase, listBases } from './base-folder.ts'
import { initDataDir } from './data-dir.ts'
import { enterRules } from './enter-rules.ts'
import { rebuildState } from './rebuild-state.ts'

const partitionCount = 2
const startMs = 1_800_000_000_000

interface World {
  readonly dataDir: string
  readonly basesDir: string
  readonly log: EventLog
  readonly state: StateStore
  enter(version: number): ReturnType<typeof enterRules>
  fold(version: number): Promise<void>
  rebuild(version: number, isFromStart?: boolean): ReturnType<typeof rebuildState>
  rules(partition: number): Promise<readonly number[]>
}

describe('newer rules of the fold', () => {
  it('count from one place on, behind a base of the state as it was', async (t) => {
    const world = await openWorld(t)
    await appendEvents(world.log, 0, 6)
    await world.fold(1)
    await appendEvents(world.log, 6, 9)
    const base = await world.enter(2)
    assert.equal(base?.kind, 'as-is')
    assert.equal(base.rulesVersion, 2)
    assert.deepEqual(await world.rules(0), [2, base.partitions[0]?.offset])
    // What was appended before the record and not folded yet is folded by the newer rules.
    await world.fold(2)
    await appendEvents(world.log, 9, 12)
    await world.fold(2)
    const rebuilt = await world.rebuild(2)
    assert.equal(rebuilt.isEqual, true)
    assert.ok(rebuilt.partitions.every(({ from }) => from > 0))
    assert.equal(await world.enter(2), undefined)
    assert.equal((await listBases(world.basesDir)).length, 1)
  })

  it('refuse what other rules folded, and never give another hash in silence', async (t) => {
    const world = await openWorld(t)
    await appendEvents(world.log, 0, 6)
    await world.fold(1)
    await assert.rejects(world.fold(2), { code: 'RULES_DIFFER' })
    await assert.rejects(world.rebuild(2), { code: 'RULES_DIFFER' })
    await world.enter(2)
    await world.fold(2)
    // From the start the newer program would fold the older program's part too.
    await assert.rejects(world.rebuild(2, true), /by rules 1 up to \d+ and by rules 2 from there/)
    await assert.rejects(world.rebuild(1, true), { code: 'RULES_DIFFER' })
    await assert.rejects(world.enter(1), { code: 'RULES_DIFFER' })
    await assert.rejects(world.fold(1), { code: 'RULES_DIFFER' })
    assert.equal((await world.rebuild(2)).isEqual, true)
  })

  it('are entered where the state is of before rules had versions', async (t) => {
    const world = await openWorld(t)
    await appendEvents(world.log, 0, 6)
    await world.fold(1)
    for (let partition = 0; partition < partitionCount; partition++) {
      await forgetRules(world.state, partition)
    }
    await assert.rejects(world.fold(1), { code: 'RULES_DIFFER' })
    assert.equal((await world.enter(1))?.kind, 'as-is')
    await appendEvents(world.log, 6, 9)
    await world.fold(1)
    assert.equal((await world.rebuild(1)).isEqual, true)
  })

  it('are entered again where that was cut off, and over one another', async (t) => {
    const world = await openWorld(t)
    await appendEvents(world.log, 0, 6)
    await world.fold(1)
    // Cut off behind the records: the state knows nothing of them.
    const cut = {
      ...world.state,
      get: (partition: number, keys: readonly string[]) => world.state.get(partition, keys),
      head: (partition: number) => world.state.head(partition),
      scan: world.state.scan.bind(world.state),
      acquire: world.state.acquire.bind(world.state),
      release: world.state.release.bind(world.state),
      close: () => world.state.close(),
      commit: () => Promise.reject(new Error('cut off')),
    }
    const given = { clock: systemClock, random: systemRandom, log: world.log }
    const local = { kind: 'sqlite', dataDir: world.dataDir } as const
    const options = { stores: { log: local, state: local }, basesDir: world.basesDir }
    await assert.rejects(enterRules({ ...given, state: cut }, { ...options, rulesVersion: 2 }), {
      message: 'cut off',
    })
    await world.enter(2)
    await world.enter(3)
    await world.fold(3)
    assert.equal((await world.rebuild(3)).isEqual, true)
  })
})

async function openWorld(t: TestContext): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-rules-'))
  await initDataDir(dataDir, { partitionCount }, systemRandom)
  const thread = await startLogThread(dataDir)
  const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })
  const state = await openSqliteStateStore({ dataDir })
  t.after(async () => {
    await log.close()
    await thread.close()
    await state.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  const local = { kind: 'sqlite', dataDir } as const
  const stores = { log: local, state: local }
  const basesDir = basesDirOf(dataDir, undefined)
  let rebuiltCount = 0
  return {
    ...{ dataDir, basesDir, log, state },
    enter: (rulesVersion) =>
      enterRules(
        { clock: systemClock, random: systemRandom, log, state },
        {
          ...{ stores, basesDir, rulesVersion },
        },
      ),
    async fold(rulesVersion) {
      for (let partition = 0; partition < partitionCount; partition++) {
        await foldAll(log, state, { partition, rulesVersion })
      }
    },
    rebuild: (rulesVersion, isFromStart = false) =>
      rebuildState({
        ...{ stores, rulesVersion, into: join(dataDir, `rebuilt-${++rebuiltCount}`) },
        async chooseBase(identity, heads) {
          if (isFromStart) return undefined
          const wish = { rulesVersion, tell: (says: string) => assert.fail(says) }
          const base = await chooseBase(basesDir, identity, heads, wish)
          return base && join(basesDir, base.name)
        },
      }),
    async rules(partition) {
      const meta = await readMeta(state, partition)
      return meta?.rules ?? assert.fail()
    },
  }
}

async function foldAll(
  log: EventLog,
  state: StateStore,
  given: { readonly partition: number; readonly rulesVersion: number },
): Promise<void> {
  const { partition } = given
  const head = await state.head(partition)
  const options = { workspace: 'default', partitionCount, ...given }
  const definitionsOf = async () => noDefinitions()
  const fold = new PartitionFold({ log, state, definitionsOf }, options)
  await fold.open(head)
  const owner = { epoch: head.epoch + 1, nonce: 'n' }
  await state.acquire(partition, owner.epoch, owner.nonce)
  while (fold.cursor < (await log.end(partition))) {
    await fold.fold(await log.read(partition, fold.cursor, 100), () => false)
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit(owner, log.identity.incarnation)
    assert.deepEqual(await state.commit([commit]), ['committed'])
    fold.committed(commit)
  }
}

async function forgetRules(state: StateStore, partition: number): Promise<void> {
  const head = await state.head(partition)
  const owner = { epoch: head.epoch + 1, nonce: 'n' }
  await state.acquire(partition, owner.epoch, owner.nonce)
  const { rules: _, ...meta } = (await readMeta(state, partition)) ?? assert.fail()
  const changes = [{ key: metaKey, value: encodeJson(meta) }]
  const place = { partition, previousOffset: head.offset }
  const commit = { ...head, ...owner, ...place, changes }
  assert.deepEqual(await state.commit([commit]), ['committed'])
}

async function appendEvents(log: EventLog, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    for (let partition = 0; partition < partitionCount; partition++) {
      await log.append([event(partition, index)])
    }
  }
}

function event(partition: number, index: number): NewRecord {
  const at = startMs + index
  const body = {
    ...{ eventId: `e${index}`, sourceId: 'web', type: 'track', name: 'Product Viewed' },
    ...{ userId: `ada${index % 2}`, occurredAtMs: at, receivedAtMs: at },
  }
  return {
    partition,
    key: `user:ada${index % 2}`,
    kind: index === 0 ? 'tick' : 'event',
    id: sha256Bytes(`${partition} ${index}`, 16),
    recordedAtMs: at,
    isBackfill: false,
    keyId: 0,
    skeleton: index === 0 ? { epoch: 0, nonce: '' } : {},
    body: index === 0 ? emptyBody : Buffer.from(JSON.stringify(body)),
  }
}
