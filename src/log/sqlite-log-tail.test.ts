import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { createSeededRandom } from '../lib/random.ts'
import { createTailBuffer, LogTailReader, LogTailWriter } from './sqlite-log-tail.ts'

const partitionCount = 4
const seed = 11
const ringBytes = 4096

/** A record as it is stored: CRC, then bytes that tell whose they are. */
function storedOf(partition: number, offset: number, bytes: number): Uint8Array {
  const stored = Buffer.alloc(4 + bytes, (partition * 31 + offset * 7) % 251)
  stored.writeUInt32BE(crc32(stored.subarray(4)))
  return stored
}

/** Length of a record, so that who reads it can tell the whole of it. */
const lengthOf = (partition: number, offset: number): number =>
  1 + ((offset * 37 + partition) % 200)

/** Adds records in turn, each partition from offset 1. */
class Written {
  readonly writer: LogTailWriter
  readonly ends: number[] = new Array<number>(partitionCount).fill(0)

  constructor(buffer: SharedArrayBuffer) {
    this.writer = new LogTailWriter(buffer)
  }

  add(partition: number): void {
    const offset = (this.ends[partition] ?? 0) + 1
    this.ends[partition] = offset
    this.writer.add(partition, offset, storedOf(partition, offset, lengthOf(partition, offset)))
  }
}

function checkRead(found: readonly Uint8Array[], partition: number, after: number): void {
  for (const [index, stored] of found.entries()) {
    const offset = after + 1 + index
    const expected = storedOf(partition, offset, lengthOf(partition, offset))
    assert(Buffer.compare(stored, expected) === 0, `record ${offset} of partition ${partition}`)
  }
}

interface Task {
  readonly buffer: SharedArrayBuffer
  readonly shared: Int32Array
}

/** Places in `shared`: how many records were written, and whether that is enough. */
const place = { count: 0, isStopped: 1 } as const
const msMax = 60_000

if (isMainThread) {
  describe('the tail of a log in memory', () => {
    it(`gives records without a gap, or none, whatever was written since (seed ${seed})`, () => {
      const random = createSeededRandom(seed)
      const buffer = createTailBuffer(ringBytes)
      const written = new Written(buffer)
      const reader = new LogTailReader(buffer, partitionCount)
      let foundCount = 0
      let newestCount = 0
      for (let step = 0; step < 4000; step++) {
        const writeCount = Math.floor(random.unit() ** 4 * 60)
        for (let count = 0; count < writeCount; count++) {
          written.add(Math.floor(random.unit() * partitionCount))
        }
        const partition = Math.floor(random.unit() * partitionCount)
        const end = written.ends[partition] ?? 0
        const after = Math.max(0, end - Math.floor(random.unit() * 12))
        const countMax = 1 + Math.floor(random.unit() * 8)
        const found = reader.read(partition, after, countMax)
        checkRead(found, partition, after)
        assert(found.length <= Math.min(countMax, end - after), 'no more than there is')
        if (found.length > 0) {
          foundCount++
          assert.equal(found.length, Math.min(countMax, end - after), 'all that follows is there')
          if (after + 1 === end) newestCount++
        }
      }
      assert(foundCount > 500 && newestCount > 50, `${foundCount} reads found something`)
    })

    it('always has the newest record, unless it is too large', () => {
      const buffer = createTailBuffer(ringBytes)
      const written = new Written(buffer)
      const reader = new LogTailReader(buffer, partitionCount)
      for (let count = 1; count < 500; count++) {
        written.add(count % partitionCount)
        const partition = count % partitionCount
        const end = written.ends[partition] ?? 0
        assert.equal(reader.read(partition, end - 1, 9).length, 1, `record ${end}`)
      }
      written.writer.add(0, (written.ends[0] ?? 0) + 1, storedOf(0, 1, ringBytes / 8))
      assert.deepEqual(reader.read(0, written.ends[0] ?? 0, 9), [])
      assert.equal(reader.read(1, (written.ends[1] ?? 0) - 1, 9).length, 1, 'others stay')
    })

    it('drops a record whose bytes are not those that were written', () => {
      const buffer = createTailBuffer(ringBytes)
      const written = new Written(buffer)
      written.add(0)
      new Uint8Array(buffer).fill(9, 16 + 16 + 4, 16 + 16 + 5)
      assert.deepEqual(new LogTailReader(buffer, partitionCount).read(0, 0, 9), [])
    })

    it('gives whole records while another thread goes on writing', async (t) => {
      const buffer = createTailBuffer(ringBytes)
      const shared = new Int32Array(new SharedArrayBuffer(8))
      const task: Task = { buffer, shared }
      const worker = new Worker(new URL(import.meta.url), { workerData: task })
      t.after(() => worker.terminate())
      const reader = new LogTailReader(buffer, partitionCount)
      let foundCount = 0
      const startedAtMs = performance.now()
      // The writer comes round the ring every 30 records or so, in less time than a read may take.
      for (let look = 0; foundCount < 20_000 && performance.now() - startedAtMs < msMax; look++) {
        const partition = look % partitionCount
        const writtenCount = Math.floor(Atomics.load(shared, place.count) / partitionCount)
        const after = Math.max(0, writtenCount - (look % 9))
        const found = reader.read(partition, after, 16)
        checkRead(found, partition, after)
        foundCount += found.length
      }
      Atomics.store(shared, place.isStopped, 1)
      await once(worker, 'exit')
      assert(foundCount >= 20_000, `${foundCount} records were read`)
    })
  })
} else {
  const { buffer, shared } = workerData as Task
  const written = new Written(buffer)
  while (Atomics.load(shared, place.isStopped) === 0) {
    written.add(Atomics.load(shared, place.count) % partitionCount)
    Atomics.add(shared, place.count, 1)
  }
  parentPort?.close()
}
