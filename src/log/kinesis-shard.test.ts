import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PartitionCount } from './kinesis-count.ts'
import { decodeFrame, encodeFrame, type Frame } from './kinesis-frame.ts'
import { findShardFaults, hashKeyOf, type Shard, ShardMap, sliceStart } from './kinesis-shard.ts'

const space = 1n << 128n

function aShard(given: Partial<Shard> & { readonly id: string }): Shard {
  return { parentIds: [], start: 0n, end: space - 1n, firstSequence: '1', isOpen: true, ...given }
}

/** Cuts as the service does: each length rounded down, the last shard takes the rest. */
function evenShards(count: number): readonly Shard[] {
  const length = space / BigInt(count)
  return Array.from({ length: count }, (_, index) =>
    aShard({
      id: `s${index}`,
      start: length * BigInt(index),
      end: index === count - 1 ? space - 1n : length * BigInt(index + 1) - 1n,
    }),
  )
}

describe('shards and partitions', () => {
  it('finds each partition whole in one of any number of shards that divides them', () => {
    const shapes = fc.record({ shardCount: fc.integer({ min: 1, max: 50 }), times: fc.nat(20) })
    fc.assert(
      fc.property(shapes, ({ shardCount, times }) => {
        const partitionCount = shardCount * (times + 1)
        const shards = evenShards(shardCount)
        assert.deepEqual(findShardFaults(shards, partitionCount), [])
        const map = new ShardMap(shards, partitionCount)
        for (const [index, { id }] of shards.entries()) {
          const expected = Array.from({ length: times + 1 }, (_, n) => index * (times + 1) + n)
          assert.deepEqual(map.partitionsOf(id), expected)
        }
      }),
    )
  })

  it('refuses shards that cut through a partition, and names them', () => {
    assert.match(findShardFaults(evenShards(3), 4).join('; '), /shard s0 .*shard s1 .*shard s2 /)
    assert.deepEqual(findShardFaults(evenShards(2), 4), [])
    const ended = evenShards(3).map((shard) => ({ ...shard, isOpen: false }))
    assert.deepEqual(findShardFaults(ended, 4), [], 'what has ended takes no more records')
  })

  it('leads from a shard to what it became', () => {
    const middle = sliceStart(2, 4)
    const path = [
      aShard({ id: 'whole', isOpen: false, firstSequence: '9' }),
      aShard({ id: 'low', end: middle - 1n, parentIds: ['whole'], firstSequence: '10' }),
      aShard({ id: 'high', start: middle, parentIds: ['whole'], firstSequence: '10' }),
    ]
    const map = new ShardMap(path, 4)
    assert.equal(map.after(1, 'whole')?.id, 'low')
    assert.equal(map.after(2, 'whole')?.id, 'high')
    assert.equal(map.after(2, 'high'), undefined)
    assert.deepEqual(map.partitionsOf('whole'), [])
    const place = (shardId: string, sequence: string) => ({ shardId, sequence })
    assert.ok(map.isBehind(1, place('low', '11'), place('whole', '99')))
    assert.ok(map.isBehind(1, place('low', '100'), place('low', '99')))
    assert.ok(!map.isBehind(1, place('low', '99'), place('low', '99')))
  })

  it('puts each partition in the middle of its slice', () => {
    for (const partition of [0, 1, 62, 63]) {
      const hash = hashKeyOf(partition, 64)
      const half = space / 128n
      assert.equal(hash - sliceStart(partition, 64), half)
      assert.equal(sliceStart(partition + 1, 64) - hash, half)
    }
  })
})

const frames: fc.Arbitrary<Frame> = fc.record(
  {
    writer: fc.constantFrom('00'.repeat(8), 'ff'.repeat(8), '0123456789abcdef'),
    number: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    records: fc.array(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      { minLength: 1, maxLength: 6 },
    ),
  },
  { noNullPrototype: true },
)

describe('frames and their count', () => {
  it('gives back the frame that was encoded', () => {
    fc.assert(
      fc.property(frames, (frame) => assert.deepEqual(decodeFrame(encodeFrame(frame)), frame)),
    )
  })

  it('refuses what is not a whole frame', () => {
    const bytes = encodeFrame({ writer: '00'.repeat(8), number: 1, records: [Buffer.from('ab')] })
    assert.throws(() => decodeFrame(bytes.subarray(0, -1)))
    assert.throws(() => decodeFrame(Buffer.concat([bytes, Buffer.from('x')])))
    assert.throws(() => decodeFrame(Buffer.from('not ours')))
  })

  it('counts the same from any noted place as from the beginning', () => {
    const small = frames.map((frame) => ({ ...frame, number: (frame.number % 9) + 1 }))
    const logs = fc.array(small, { maxLength: 30 })
    fc.assert(
      fc.property(logs, fc.nat(30), (log, at) => {
        const whole = new PartitionCount(beginning)
        const resumed = log.slice(0, at).reduce((count, frame) => {
          count.take(frame)
          return count
        }, new PartitionCount(beginning))
        const later = new PartitionCount(resumed.place())
        for (const frame of log.slice(at)) later.take(frame)
        for (const frame of log) whole.take(frame)
        assert.deepEqual(later.place(), whole.place())
      }),
    )
  })

  it('passes over a frame that comes twice, or late', () => {
    const count = new PartitionCount(beginning)
    const frame = (number: number): Frame => {
      return { writer: '00'.repeat(8), number, records: [Buffer.from('a'), Buffer.from('b')] }
    }
    const taken = [1, 3, 3, 2, 4].map((number) => count.take(frame(number)))
    assert.deepEqual(taken, [true, true, false, false, true])
    assert.equal(count.offset, 6)
  })

  it('forgets the writers met longest ago, in the same order everywhere', () => {
    const count = new PartitionCount(beginning)
    const writers = Array.from({ length: 200 }, (_, n) => n.toString(16).padStart(16, '0'))
    for (const writer of writers) count.take({ writer, number: 1, records: [] })
    assert.ok(count.place().writers.length < 200 * 14)
    assert.ok(!count.take({ writer: writers[199] ?? '', number: 1, records: [] }))
  })
})

const beginning = {
  shardId: 's',
  sequence: '',
  offset: 0,
  asOfMs: 0,
  writers: new Uint8Array(0),
}
