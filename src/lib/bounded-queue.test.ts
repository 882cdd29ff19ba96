import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BoundedQueue } from './bounded-queue.ts'

function aQueue(options: { countHigh?: number; bytesHigh?: number } = {}) {
  const changes: boolean[] = []
  const countHigh = options.countHigh ?? 10
  const bytesHigh = options.bytesHigh ?? 1_000
  const queue = new BoundedQueue<string>({
    countHigh,
    countLow: Math.floor(countHigh / 2),
    bytesHigh,
    bytesLow: Math.floor(bytesHigh / 2),
    bytesOf: (item) => item.length,
    onFullChange: (isFull) => changes.push(isFull),
  })
  return { queue, changes }
}

describe('a bounded queue', () => {
  it('pauses intake at the high mark of the count and resumes at the low one', () => {
    const { queue, changes } = aQueue({ countHigh: 4 })
    for (const item of ['a', 'b', 'c', 'd']) assert.equal(queue.offer(item), true)
    assert.equal(queue.offer('e'), false)
    queue.take()
    assert.equal(queue.offer('e'), false)
    queue.take()
    assert.equal(queue.offer('e'), true)
    assert.deepEqual(changes, [true, false])
  })

  it('pauses intake at the high mark of the bytes', () => {
    const { queue, changes } = aQueue({ bytesHigh: 10 })
    assert.equal(queue.offer('123456'), true)
    assert.equal(queue.offer('123456'), false)
    assert.equal(queue.isFull, true)
    assert.equal(queue.take(), '123456')
    assert.equal(queue.isFull, false)
    assert.deepEqual(changes, [true, false])
  })

  it('takes an item above the limit when it is empty, and is full then', () => {
    const { queue } = aQueue({ bytesHigh: 10 })
    assert.equal(queue.offer('x'.repeat(50)), true)
    assert.equal(queue.isFull, true)
  })

  it('gives batches bounded by count and bytes, at least one item', () => {
    const { queue } = aQueue()
    for (const item of ['aaaa', 'bb', 'c', 'dddd']) queue.offer(item)
    assert.deepEqual(queue.takeBatch(10, 6), ['aaaa', 'bb'])
    assert.deepEqual(queue.takeBatch(1, 6), ['c'])
    assert.deepEqual(queue.takeBatch(10, 1), ['dddd'])
    assert.deepEqual(queue.takeBatch(10, 1), [])
    assert.equal(queue.take(), undefined)
  })

  it('wakes those who wait for an item or for room', async () => {
    const { queue } = aQueue({ countHigh: 2 })
    const signal = new AbortController().signal
    const item = queue.waitForItem(signal)
    queue.offer('a')
    await item
    queue.offer('b')
    const room = queue.waitForRoom(signal)
    queue.take()
    await room
    assert.equal(queue.count, 1)
  })

  it('stops waiting when the signal aborts', async () => {
    const { queue } = aQueue()
    const controller = new AbortController()
    const waits = [queue.waitForItem(controller.signal), queue.waitForItem(controller.signal)]
    controller.abort()
    await Promise.all(waits)
    await queue.waitForItem(controller.signal)
    assert.equal(queue.count, 0)
  })

  it('behaves as a plain array that is refused while full', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('offer' as const), bytes: fc.nat(6) }),
      fc.record({ kind: fc.constant('take' as const), countMax: fc.integer({ min: 1, max: 4 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { queue } = aQueue({ countHigh: 8, bytesHigh: 20 })
        const model: string[] = []
        let serial = 0
        for (const each of steps) {
          if (each.kind === 'offer') {
            const item = `${serial++}`.padStart(each.bytes, '0')
            const isFullBefore = queue.isFull
            const isTaken = queue.offer(item)
            if (isFullBefore) assert.equal(isTaken, false)
            if (isTaken) model.push(item)
          } else {
            assert.deepEqual(queue.takeBatch(each.countMax, 20), model.splice(0, each.countMax))
          }
          const bytes = model.reduce((sum, item) => sum + item.length, 0)
          assert.equal(queue.count, model.length)
          assert.equal(queue.bytes, bytes)
          assert.ok(queue.count <= 8 && bytes <= 20)
          if (queue.isFull) assert.ok(model.length > 4 || bytes > 10)
        }
      }),
    )
  })

  it('stays small and in order through a long life', () => {
    const { queue } = aQueue({ countHigh: 5_000, bytesHigh: 1_000_000 })
    let next = 0
    let expected = 0
    for (let round = 0; round < 20; round++) {
      while (queue.offer(`${next}`)) next++
      for (const item of queue.takeBatch(4_000, 1_000_000)) assert.equal(item, `${expected++}`)
    }
    assert.equal(queue.count, next - expected)
  })
})
