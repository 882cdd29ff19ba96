/** The promises of `StateStore`, as a suite for every adapter. */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { hashPartition } from './dump.ts'
import {
  type Change,
  commitCountMax,
  keyBytesMax,
  noHead,
  type PartitionCommit,
  type StateStore,
  valueBytesMax,
} from './state-store.ts'

type Open = (t: TestContext) => Promise<StateStore>

/** Makes a commit for tests, by the owner of epoch 1. */
export function aCommit(given: Partial<PartitionCommit> = {}): PartitionCommit {
  return {
    partition: 0,
    epoch: 1,
    nonce: 'n1',
    previousOffset: 0,
    offset: 1,
    lastRecordId: 'aa',
    incarnation: 'i1',
    changes: [],
    ...given,
  }
}

/** Opens a store that is empty but for what a test commits. */
export function describeStateStore(adapter: string, open: Open): void {
  describe(`${adapter} state store`, () => {
    describeOwnership(open)
    describeCommit(open)
    describeScan(open)
    describeModel(open)
    describeDump(open)
  })
}

function describeOwnership(open: Open): void {
  it('has an empty head before the first owner', async (t) => {
    const store = await open(t)
    assert.deepEqual(await store.head(3), noHead)
  })

  it('takes a greater epoch or the same owner again, and fences all others', async (t) => {
    const store = await open(t)
    assert.equal(await store.acquire(0, 2, 'b'), 'acquired')
    assert.equal(await store.acquire(0, 2, 'b'), 'acquired')
    assert.equal(await store.acquire(0, 2, 'c'), 'fenced')
    assert.equal(await store.acquire(0, 1, 'b'), 'fenced')
    assert.deepEqual(await store.head(0), { ...noHead, epoch: 2, nonce: 'b' })
    assert.equal(await store.acquire(0, 3, 'c'), 'acquired')
    assert.equal((await store.head(0)).nonce, 'c')
    assert.deepEqual(await store.head(1), noHead)
  })

  it('keeps the offset when the owner changes', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    await store.commit([aCommit({ offset: 7 })])
    await store.acquire(0, 2, 'n2')
    const head = { epoch: 2, nonce: 'n2', offset: 7, lastRecordId: 'aa', incarnation: 'i1' }
    assert.deepEqual(await store.head(0), head)
  })

  it('refuses the commit of an owner that is not the newest, changing nothing', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    await store.acquire(0, 2, 'n2')
    const before = await store.head(0)
    const changes = [put('a', 'late')]
    for (const late of [{}, { epoch: 2 }, { nonce: 'n2' }]) {
      assert.deepEqual(await store.commit([aCommit({ ...late, changes })]), ['fenced'])
    }
    assert.deepEqual(await store.head(0), before)
    assert.deepEqual(await store.get(0, ['a']), [undefined])
  })

  it('lets an owner give a partition up, and only its own', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    await store.commit([aCommit({ offset: 7 })])
    await store.release(0, 1, 'other')
    await store.release(0, 2, 'n1')
    assert.equal((await store.head(0)).nonce, 'n1')
    await store.release(0, 1, 'n1')
    const head = { epoch: 1, nonce: '', offset: 7, lastRecordId: 'aa', incarnation: 'i1' }
    assert.deepEqual(await store.head(0), head)
    const late = aCommit({ previousOffset: 7, offset: 8, changes: [put('a', 'late')] })
    assert.deepEqual(await store.commit([late]), ['fenced'])
    assert.equal(await store.acquire(0, 1, 'n1'), 'fenced')
    assert.equal(await store.acquire(0, 2, 'n2'), 'acquired')
  })

  it('refuses a commit where nobody owns the partition', async (t) => {
    const store = await open(t)
    assert.deepEqual(await store.commit([aCommit()]), ['fenced'])
  })
}

function describeCommit(open: Open): void {
  it('refuses a commit from another offset than its own, changing nothing', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    await store.commit([aCommit({ offset: 5, changes: [put('a', '1')] })])
    for (const previousOffset of [0, 4, 6]) {
      const commit = aCommit({ previousOffset, offset: 9, changes: [put('a', '2'), put('b', '2')] })
      assert.deepEqual(await store.commit([commit]), ['moved'])
    }
    assert.equal((await store.head(0)).offset, 5)
    assert.deepEqual(texts(await store.get(0, ['a', 'b'])), ['1', undefined])
  })

  it('answers a commit that is repeated as the first time, and changes nothing more', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const commit = aCommit({ offset: 5, changes: [put('a', '1'), put('b', '1')] })
    assert.deepEqual(await store.commit([commit]), ['committed'])
    const other = { ...commit, changes: [put('a', '2')] }
    assert.deepEqual(await store.commit([other]), ['committed'])
    assert.deepEqual(texts(await store.get(0, ['a'])), ['1'])
    assert.deepEqual(await store.commit([{ ...commit, lastRecordId: 'bb' }]), ['moved'])
    await store.acquire(0, 2, 'n2')
    assert.deepEqual(await store.commit([commit]), ['fenced'])
  })

  it('answers each partition by itself, in the order given', async (t) => {
    const store = await open(t)
    for (const partition of [0, 1, 2]) await store.acquire(partition, 1, 'n1')
    const answers = await store.commit([
      aCommit({ partition: 2, changes: [put('a', '2')] }),
      aCommit({ partition: 0, nonce: 'other', changes: [put('a', '0')] }),
      aCommit({ partition: 1, previousOffset: 3, changes: [put('a', '1')] }),
    ])
    assert.deepEqual(answers, ['committed', 'fenced', 'moved'])
    assert.deepEqual(texts(await store.get(2, ['a'])), ['2'])
    assert.deepEqual(texts(await store.get(0, ['a'])), [undefined])
    assert.deepEqual(texts(await store.get(1, ['a'])), [undefined])
  })

  it('commits with the offset unchanged', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const piece = aCommit({ offset: 0, lastRecordId: '', changes: [put('timer/1', 'x')] })
    assert.deepEqual(await store.commit([piece]), ['committed'])
    assert.deepEqual(await store.commit([piece]), ['committed'])
    assert.equal((await store.head(0)).offset, 0)
  })

  it('puts, replaces and deletes, the later change of a key over the earlier', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const changes = [put('a', '1'), put('b', '1'), put('a', '2'), remove('b'), remove('never')]
    await store.commit([aCommit({ changes })])
    assert.deepEqual(texts(await store.get(0, ['b', 'a', 'a'])), [undefined, '2', '2'])
    await store.commit([aCommit({ previousOffset: 1, offset: 2, changes: [put('empty', '')] })])
    assert.deepEqual(texts(await store.get(0, ['empty'])), [''])
  })

  it('takes the largest key, value and commit, and refuses larger ones whole', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const key = '\u{10FFFF}'.repeat(keyBytesMax / 4)
    const value = new Uint8Array(valueBytesMax).fill(1)
    const many = Array.from({ length: commitCountMax - 1 }, (_, n) => put(`k/${n}`, 'v'))
    await store.commit([aCommit({ changes: [{ key, value }, ...many] })])
    assert.equal((await store.get(0, [key]))[0]?.length, valueBytesMax)
    assert.equal((await store.scan(0, 'k/', '', commitCountMax)).length, commitCountMax - 1)
    const tooLarge: readonly (readonly Change[])[] = [
      [put('a', '1'), { key: `${key}x`, value }],
      [put('a', '1'), { key: 'b', value: new Uint8Array(valueBytesMax + 1) }],
      Array.from({ length: commitCountMax + 1 }, () => put('a', '1')),
    ]
    for (const changes of tooLarge) {
      await assert.rejects(store.commit([aCommit({ previousOffset: 1, offset: 2, changes })]))
    }
    assert.equal((await store.head(0)).offset, 1)
    assert.deepEqual(texts(await store.get(0, ['a'])), [undefined])
  })

  it('keeps nothing of the buffers it was given', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const value = new Uint8Array([1])
    await store.commit([aCommit({ changes: [{ key: 'a', value }] })])
    value.fill(9)
    const [first] = await store.get(0, ['a'])
    first?.fill(8)
    assert.deepEqual([...((await store.get(0, ['a']))[0] ?? [])], [1])
  })
}

function describeScan(open: Open): void {
  it('returns keys of one prefix in byte order, behind a key, at most the count', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    await store.acquire(1, 1, 'n1')
    const keys = ['a', 'b/', 'b/1', 'b/10', 'b/2', 'b/\u{1F600}', 'b/\uFFFD', 'b0', 'c']
    const changes = keys.map((key) => put(key, key))
    await store.commit([aCommit({ changes: [...changes].reverse() })])
    await store.commit([aCommit({ partition: 1, changes: [put('b/other', '')] })])
    const scan = async (after: string, countMax: number): Promise<readonly string[]> =>
      (await store.scan(0, 'b/', after, countMax)).map(({ key }) => key)
    assert.deepEqual(await scan('', 9), ['b/', 'b/1', 'b/10', 'b/2', 'b/\uFFFD', 'b/\u{1F600}'])
    assert.deepEqual(await scan('b/1', 2), ['b/10', 'b/2'])
    assert.deepEqual(await scan('b/11', 1), ['b/2'])
    assert.deepEqual(await scan('b/\u{1F600}', 9), [])
    assert.deepEqual(await scan('c', 9), [])
    assert.deepEqual(await scan('', 0), [])
    assert.equal((await store.scan(0, '', '', 99)).length, keys.length)
    assert.deepEqual(await store.scan(2, '', '', 9), [])
  })
}

const keyArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'a/', 'a/1', 'a/2', 'a/\u{FFFF}', 'b', 'b/x') },
  fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
)

const changesArbitrary = fc.array(
  fc.record({
    key: keyArbitrary,
    value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
  }) satisfies fc.Arbitrary<Change>,
  { maxLength: 12 },
)

function describeModel(open: Open): void {
  it('holds what a plain map holds after any commits, good and refused', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const model = new Map<string, Uint8Array>()
    let offset = 0
    const step = fc.record({
      changes: changesArbitrary,
      isStale: fc.boolean(),
      prefix: fc.oneof(fc.constantFrom('', 'a', 'a/', 'b'), keyArbitrary),
      after: fc.oneof(fc.constant(''), keyArbitrary),
      countMax: fc.integer({ min: 1, max: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(step, async ({ changes, isStale, prefix, after, countMax }) => {
        const previousOffset = isStale ? offset + 1 : offset
        const answer = await store.commit([
          aCommit({ previousOffset, offset: offset + 3, changes }),
        ])
        assert.deepEqual(answer, [isStale ? 'moved' : 'committed'])
        if (!isStale) {
          offset += 3
          for (const { key, value } of changes) {
            if (value === undefined) model.delete(key)
            else model.set(key, value)
          }
        }
        assert.equal((await store.head(0)).offset, offset)
        const keys = changes.map(({ key }) => key)
        const values = await store.get(0, keys)
        assert.deepEqual(
          values.map(plain),
          keys.map((key) => plain(model.get(key))),
        )
        const scanned = await store.scan(0, prefix, after, countMax)
        assert.deepEqual(
          scanned.map(({ key, value }) => [key, plain(value)]),
          scanModel(model, prefix, after).slice(0, countMax),
        )
      }),
      { numRuns: 150 },
    )
  })
}

function describeDump(open: Open): void {
  it('hashes the same for the same keys, however they came, and without the outbox', async (t) => {
    const store = await open(t)
    for (const partition of [0, 1, 2]) await store.acquire(partition, partition + 1, 'n')
    const mine = (partition: number, changes: readonly Change[]): PartitionCommit =>
      aCommit({ partition, epoch: partition + 1, nonce: 'n', changes })
    await store.commit([mine(0, [put('a', '1'), put('outbox/1', 'x'), put('b', '22')])])
    await store.commit([mine(1, [put('b', '0'), put('z', ''), put('b', '22'), put('a', '1')])])
    await store.commit([{ ...mine(1, [remove('z')]), previousOffset: 1, offset: 2 }])
    await store.commit([mine(2, [put('a', '12'), put('b', '2')])])
    const hash = await hashPartition(store, 0)
    assert.match(hash, /^[0-9a-f]{64}$/)
    assert.equal(await hashPartition(store, 1), hash)
    assert.notEqual(await hashPartition(store, 2), hash)
  })

  it('hashes every key of a large partition', async (t) => {
    const store = await open(t)
    await store.acquire(0, 1, 'n1')
    const changes = Array.from({ length: 1234 }, (_, n) => put(`person/${n}`, 'v'))
    await store.commit([aCommit({ changes })])
    const before = await hashPartition(store, 0)
    const last = [put('person/999', 'w')]
    await store.commit([aCommit({ previousOffset: 1, offset: 2, changes: last })])
    assert.notEqual(await hashPartition(store, 0), before)
  })
}

function scanModel(
  model: ReadonlyMap<string, Uint8Array>,
  prefix: string,
  after: string,
): (readonly [string, number[] | undefined])[] {
  return [...model]
    .filter(([key]) => key.startsWith(prefix) && Buffer.compare(utf8(key), utf8(after)) > 0)
    .sort(([left], [right]) => Buffer.compare(utf8(left), utf8(right)))
    .map(([key, value]) => [key, plain(value)])
}

function put(key: string, value: string): Change {
  return { key, value: utf8(value) }
}

function remove(key: string): Change {
  return { key, value: undefined }
}

function utf8(text: string): Buffer {
  return Buffer.from(text)
}

function plain(value: Uint8Array | undefined): number[] | undefined {
  return value && [...value]
}

function texts(values: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return values.map((value) => value && Buffer.from(value).toString())
}
