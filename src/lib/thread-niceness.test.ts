import assert from 'node:assert/strict'
import { once } from 'node:events'
import { getPriority } from 'node:os'
import { it } from 'node:test'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { lowerOwnPriority, ownThreadId } from './thread-niceness.ts'

const isLinux = process.platform === 'linux'
const niceness = 3

interface Told {
  readonly isLowered: boolean
  readonly before: number
  readonly after: number
}

if (isMainThread) {
  it('lowers the priority of the thread that asks, and of no other', async () => {
    const main = getPriority()
    const { isLowered, before, after } = await askWorker(niceness)
    assert.equal(isLowered, isLinux)
    assert.equal(after - before, isLinux ? Math.min(niceness, 19 - before) : 0)
    assert.equal(getPriority(), main)
  })

  it('does nothing where a thread is not to give way', async () => {
    const { isLowered, before, after } = await askWorker(0)
    assert.equal(isLowered, false)
    assert.equal(after, before)
  })
} else {
  const thread = ownThreadId()
  const before = getPriority(thread)
  const isLowered = lowerOwnPriority(workerData as number)
  const told: Told = { isLowered, before, after: getPriority(thread) }
  parentPort?.postMessage(told)
}

async function askWorker(asked: number): Promise<Told> {
  const worker = new Worker(new URL(import.meta.url), { workerData: asked })
  const [told] = (await once(worker, 'message')) as [Told]
  await worker.terminate()
  return told
}
