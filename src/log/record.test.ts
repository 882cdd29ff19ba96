import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { aRecord } from './event-log.contract.ts'
import { decodeRecord, encodeRecord, type NewRecord, partitionOf, recordKinds } from './record.ts'

const recordArbitrary = fc.record({
  partition: fc.nat(63),
  key: fc.string({ unit: 'binary' }),
  kind: fc.constantFrom(...recordKinds),
  id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  recordedAtMs: fc.double({ noNaN: true }),
  isBackfill: fc.boolean(),
  keyId: fc.nat(2 ** 32 - 1),
  outbox: fc.record(
    {
      source: fc.nat(4095),
      offset: fc.nat(2 ** 40),
      index: fc.nat(2 ** 32 - 1),
      previousOffset: fc.nat(2 ** 40),
      previousIndex: fc.nat(2 ** 32 - 1),
    },
    { noNullPrototype: true },
  ),
  skeleton: fc
    .jsonValue({ noUnicodeString: false })
    .map((value) => JSON.parse(JSON.stringify(value))),
  body: fc.uint8Array({ maxLength: 500 }),
}) satisfies fc.Arbitrary<NewRecord>

it('gives back every record that it encodes, with an outbox id and without', () => {
  fc.assert(
    fc.property(recordArbitrary, fc.boolean(), fc.nat(2 ** 40), (given, hasOutbox, offset) => {
      const { outbox, ...rest } = given
      const record: NewRecord = hasOutbox ? { ...rest, outbox } : rest
      const decoded = decodeRecord(record.partition, offset, encodeRecord(record))
      const { id, body } = decoded
      const plain = { ...decoded, id: Uint8Array.from(id), body: Uint8Array.from(body) }
      assert.deepEqual(plain, { ...record, offset })
    }),
    { numRuns: 300 },
  )
})

it('makes one object of two, whatever their texts', () => {
  const objectArbitrary = (prefix: string) =>
    fc
      .dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), { minKeys: 1 })
      .map((names) => Object.entries(names).map(([name, value]) => [prefix + name, value] as const))
      .map((entries): Record<string, string> => Object.fromEntries(entries))
  fc.assert(
    fc.property(objectArbitrary('a'), objectArbitrary('b'), (first, second) => {
      const body = { first: JSON.stringify(first), second: JSON.stringify(second) }
      const decoded = decodeRecord(0, 1, encodeRecord({ ...aRecord(), body }))
      assert.equal(Buffer.from(decoded.body).toString(), JSON.stringify({ ...first, ...second }))
    }),
  )
})

it('holds no more memory than a record has bytes', () => {
  const encode = (length: number): Buffer => {
    const body = { first: '{"a":1}', second: JSON.stringify({ b: 'x'.repeat(length) }) }
    return encodeRecord({ ...aRecord(), body })
  }
  const long = encode(50_000)
  assert.equal(decodeRecord(0, 1, long).body.length, 50_014)
  assert.equal(long.buffer.byteLength, long.length)
  // Short ones lie in a pool, one behind the other but where another piece of it begins.
  const short = Array.from({ length: 20 }, () => encode(500))
  const gaps = short.slice(1).map((bytes, at) => bytes.byteOffset - (short[at]?.byteOffset ?? 0))
  assert.ok(gaps.filter((gap) => gap > 0 && gap < 600 + 16).length > 10, gaps.join(' '))
})

it('refuses to make an id of nothing', () => {
  assert.throws(() => encodeRecord({ ...aRecord(), id: { hashOf: '' } }), /hash of something/)
})

it('refuses a version or a kind that it does not know', () => {
  for (const place of [0, 1]) {
    const bytes = encodeRecord(aRecord())
    bytes[place] = 200
    assert.throws(() => decodeRecord(0, 1, bytes), /is known/)
  }
})

it('puts a key in the same partition for ever, by workspace and key', () => {
  const keys = ['user:ada', 'user:bea', 'anonymous:1', 'item:42']
  const partitions = keys.map((key) => partitionOf('default', key, 64))
  assert.deepEqual(partitions, [46, 28, 53, 22])
  assert.equal(partitionOf('other', 'user:ada', 64), 53)
})
