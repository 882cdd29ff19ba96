import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { aRecord } from './event-log.contract.ts'
import { decodeRecord, type LogRecord, type NewRecord } from './record.ts'
import { crcBytes } from './sqlite-log-file.ts'
import { FrameBuffer } from './sqlite-log-frames.ts'
import { frameHeadBytes } from './sqlite-log-protocol.ts'

interface Piece {
  readonly partition: number
  readonly key: string
  readonly bodyBytes: number
  /** What the writer hashes for the id; '' where the id is there. */
  readonly hashOf: string
}

const pieceArbitrary = fc.record(
  {
    partition: fc.nat(63),
    key: fc.string({ unit: 'binary', maxLength: 20 }),
    // Some are longer than the buffer is at first.
    bodyBytes: fc.oneof(fc.nat(300), fc.constantFrom(70_000, 300_000)),
    hashOf: fc.string({ unit: 'grapheme', maxLength: 20 }),
  },
  { noNullPrototype: true },
)
/** A turn of several appends, each taken back or not. */
const turnArbitrary = fc.array(
  fc.record({ pieces: fc.array(pieceArbitrary, { maxLength: 4 }), isTakenBack: fc.boolean() }),
  { maxLength: 6 },
)

it('gives back what was added and not taken back, in order, turn after turn', () => {
  fc.assert(
    fc.property(fc.array(turnArbitrary, { maxLength: 3 }), (turns) => {
      const frames = new FrameBuffer()
      for (const turn of turns) {
        const expected: Piece[] = []
        for (const { pieces, isTakenBack } of turn) {
          const before = frames.length
          for (const piece of pieces) frames.add(recordOf(piece))
          if (isTakenBack) frames.cut(before)
          else expected.push(...pieces)
        }
        const { length } = frames
        const taken = frames.take()
        assert.equal(taken.byteLength, length)
        assert.deepEqual(decodeFrames(taken), expected)
      }
    }),
    { numRuns: 60 },
  )
})

function recordOf({ partition, key, bodyBytes, hashOf }: Piece): NewRecord {
  const record = aRecord({ partition, key, body: new Uint8Array(bodyBytes).fill(key.length) })
  return hashOf === '' ? record : { ...record, id: { hashOf } }
}

function pieceOf({ partition, key, body }: LogRecord, hashOf: string): Piece {
  assert.ok(body.every((byte) => byte === key.length))
  return { partition, key, bodyBytes: body.length, hashOf }
}

function decodeFrames(frames: ArrayBuffer): readonly Piece[] {
  const bytes = Buffer.from(frames)
  const pieces: Piece[] = []
  for (let at = 0; at < bytes.length; ) {
    const from = at + frameHeadBytes
    const end = from + bytes.readUInt32BE(at + 4)
    const next = end + bytes.readUInt32BE(at + 8)
    const stored = bytes.subarray(from + crcBytes, end)
    const record = decodeRecord(bytes.readUInt32BE(at), pieces.length + 1, stored)
    pieces.push(pieceOf(record, bytes.toString('utf8', end, next)))
    at = next
  }
  return pieces
}
