import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Clock, nextTurn } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { createSeededRandom, type Random } from '../lib/random.ts'
import { type AppendItem, type AppendLane, AppendQueue, createLane } from './append-queue.ts'
import { aRecord } from './event-log.contract.ts'
import type { Place } from './event-log.ts'

const partitionCount = 3
const callCount = 200
const appendMsMax = 150
const itemsBytesMax = 700
const valueBytes = ({ value }: AppendItem): number => value.length

/** Time passes while somebody sleeps, and at no other instant. */
function createSleepersClock(): Clock {
  let ms = 0
  return {
    nowMs: () => ms,
    monotonicMs: () => ms,
    async sleep(sleepMs) {
      const untilMs = ms + sleepMs
      await nextTurn()
      ms = Math.max(ms, untilMs)
    },
  }
}

interface Far {
  readonly queue: AppendQueue<AppendLane>
  /** Key ids in the log, by partition. */
  readonly log: readonly number[][]
  /** Whether a request was ever sent while another one of its partition was on its way. */
  hasOverlap: boolean
}

/** A log that takes pieces, refuses them, and takes them without a word; by turns of `random`. */
function createFarLog(random: Random, clock: Clock): Far {
  const flying = new Set<number>()
  const takenPieces = new Set<unknown>()
  const lanes = Array.from({ length: partitionCount }, (_, partition) => createLane(partition))
  const send = async (candidates: readonly AppendLane[]): Promise<void> => {
    const sent = queue.depart(candidates, {
      ...{ bytesMax: 1500, countMax: 2 },
      pieceOf(lane) {
        const items = queue.take(lane, valueBytes, itemsBytesMax)
        return { items, bytes: Buffer.concat(items.map(({ value }) => value)) }
      },
    })
    for (const { partition } of sent) {
      far.hasOverlap ||= flying.has(partition)
      flying.add(partition)
    }
    await clock.sleep(20 * random.unit())
    for (const { partition } of sent) flying.delete(partition)
    queue.land(sent)
    for (const lane of sent) answer(lane)
    queue.pumpSoon()
  }
  const answer = (lane: AppendLane): void => {
    const { sent } = lane
    assert(sent)
    const log = far.log[lane.partition]
    assert(log)
    const fate = random.unit()
    if (fate > 0.3 && !takenPieces.has(sent)) {
      takenPieces.add(sent)
      for (const { key } of sent.items) log.push(Number(key))
    }
    if (fate > 0.5) {
      queue.placed(lane, log.length - sent.items.length + 1)
    } else {
      const error = new OperatingError('STORE_UNREACHABLE', 'append')
      const notBeforeMs = clock.monotonicMs() + 50 * random.unit()
      queue.putOff(lane, { error, isOver: false, notBeforeMs })
    }
  }
  const queue = new AppendQueue<AppendLane>({
    ...{ clock, queueBytesHigh: 1_000_000, appendMsMax, lanes },
    send: (ready) => void send(ready),
  })
  const far: Far = { queue, log: lanes.map(() => []), hasOverlap: false }
  return far
}

describe('AppendQueue', () => {
  for (let seed = 1; seed <= 10; seed++) {
    it(`keeps order and tells the truth, whatever is lost (seed ${seed})`, async () => {
      const random = createSeededRandom(seed)
      const clock = createSleepersClock()
      const far = createFarLog(random, clock)
      const { queue } = far
      const calls: { readonly keys: readonly number[]; readonly done: Promise<unknown> }[] = []
      let key = 0
      for (let call = 0; call < callCount; call++) {
        const partition = Math.floor(random.unit() * partitionCount)
        const keys = Array.from({ length: 1 + Math.floor(random.unit() * 3) }, () => key++)
        const records = keys.map((each) => aRecord({ partition, key: String(each) }))
        const done = queue.append(records).catch((error: unknown) => error)
        calls.push({ keys, done })
        if (random.unit() < 0.3) await clock.sleep(30 * random.unit())
      }
      await queue.close()
      const answers = await Promise.all(calls.map(({ done }) => done))
      const isAcknowledged = (answer: unknown): boolean => !(answer instanceof OperatingError)
      assert(answers.some(isAcknowledged), 'some are acknowledged')
      assert(!answers.every(isAcknowledged), 'some are too late')
      for (const [index, answer] of answers.entries()) {
        if (!isAcknowledged(answer)) continue
        const places = answer as readonly Place[]
        const there = places.map(({ partition, offset }) => far.log[partition]?.[offset - 1])
        assert.deepEqual(there, calls[index]?.keys, 'what is acknowledged is where it was said')
      }
      for (const log of far.log) {
        assert.deepEqual(
          log,
          [...new Set(log)].toSorted((a, b) => a - b),
          'in order, once each',
        )
      }
      assert.equal(far.hasOverlap, false)
      assert.equal(queue.bytes, 0)
    })
  }

  it('refuses what it has no room for, and all once it is closed', async () => {
    const lanes = [createLane(0)]
    const clock = createSleepersClock()
    const far = { ...{ clock, appendMsMax, lanes }, queueBytesHigh: 10, send: () => undefined }
    const queue = new AppendQueue(far)
    assert.throws(() => queue.append([aRecord()]), { code: 'LOG_OVERLOADED' })
    assert.deepEqual(await queue.append([]), [])
    await queue.close()
    assert.throws(() => queue.append([aRecord()]), { code: 'STORE_UNREACHABLE' })
  })
})
