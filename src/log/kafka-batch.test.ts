import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createRecordsBatch, Reader, readRecordsBatches } from '@platformatic/kafka'
import fc from 'fast-check'
import { type BatchRecord, decodeBatches, encodeBatch } from './kafka-batch.ts'
import { kafkaCompressions } from './kafka-options.ts'

const producer = { producerId: 7n, epoch: 3, sequence: 11 }
const recordsArbitrary = fc.array(
  fc.record({
    key: fc.string({ unit: 'binary', maxLength: 200 }),
    value: fc.uint8Array({ maxLength: 400 }),
    timestampMs: fc.oneof(
      fc.nat(),
      fc.maxSafeNat().map((ms) => ms / 4096),
    ),
  }),
  { minLength: 1, maxLength: 20 },
)

it('gives back what it encodes, with every compression', () => {
  fc.assert(
    fc.property(
      recordsArbitrary,
      fc.constantFrom(...kafkaCompressions),
      fc.nat(25),
      (records, compression, from) => {
        const bytes = encodeBatch(records, producer, compression)
        const { entries, nextOffset } = decodeBatches(bytes, from, 'partition 0')
        assert.equal(nextOffset, records.length)
        assert.deepEqual(
          entries.map(({ offset, value }) => [offset, [...value]]),
          records.flatMap(({ value }, offset) => (offset < from ? [] : [[offset, [...value]]])),
        )
      },
    ),
  )
})

it('writes what the client library reads', () => {
  fc.assert(
    fc.property(recordsArbitrary, fc.constantFrom(...kafkaCompressions), (records, compression) => {
      const bytes = encodeBatch(records, producer, compression)
      const [batch, ...others] = readRecordsBatches(Reader.from(bytes))
      assert.ok(batch !== undefined && others.length === 0)
      assert.deepEqual(
        [batch.producerId, batch.producerEpoch, batch.firstSequence, batch.length],
        [7n, 3, 11, bytes.length - 12],
      )
      const times = batch.records.map((record) => batch.firstTimestamp + record.timestampDelta)
      assert.deepEqual(
        times.map(Number),
        records.map(({ timestampMs }) => Math.trunc(timestampMs)),
      )
      assert.equal(
        Number(batch.maxTimestamp),
        Math.max(...records.map(({ timestampMs }) => Math.trunc(timestampMs))),
      )
      assert.deepEqual(
        batch.records.map(({ key, value }) => [String(key ?? ''), [...(value ?? [])]]),
        records.map(({ key, value }) => [Buffer.from(key).toString(), [...value]]),
      )
    }),
  )
})

it('reads several batches that the client library wrote, and leaves one that is cut off', () => {
  const batches = ['a', 'b', 'c'].map((text) =>
    createRecordsBatch([
      { topic: 't', partition: 0, key: Buffer.from('k'), value: Buffer.from(text) },
    ]),
  )
  const bytes = Buffer.concat(batches.map(({ buffer }) => buffer))
  const { entries, nextOffset } = decodeBatches(bytes.subarray(0, -1), 0, 'partition 0')
  assert.deepEqual(
    entries.map(({ value }) => value.toString()),
    ['a', 'b'],
  )
  assert.equal(nextOffset, 1)
})

it('refuses a batch whose bytes were changed', () => {
  const record: BatchRecord = { key: 'user:ada', value: Buffer.from('{}'), timestampMs: 1 }
  const bytes = encodeBatch([record], producer, 'none')
  for (const at of [21, 40, bytes.length - 2]) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.throws(() => decodeBatches(changed, 0, 'partition 0'), { code: 'STORE_CORRUPT' })
  }
})
