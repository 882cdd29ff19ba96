import assert from 'node:assert/strict'
import { once } from 'node:events'
import { it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { systemClock } from './clock.ts'
import { readWorkerMemory } from './thread-memory.ts'

const arrayBytes = 40 * 2 ** 20
/** Holds an array, says so, and then runs without ever coming back to its event loop. */
const busyProgram = `
  const { parentPort } = require('node:worker_threads')
  globalThis.held = new Uint8Array(${arrayBytes})
  parentPort.postMessage('held')
  for (;;) {}
`

it('tells what a busy thread holds, and nothing of one that has ended', async () => {
  const worker = new Worker(busyProgram, { eval: true, name: 'busy' })
  await once(worker, 'message')
  const [memory] = await readWorkerMemory(systemClock, worker)
  assert.equal(memory?.thread, 'busy')
  assert.ok(memory.externalBytes >= arrayBytes && memory.externalBytes < 2 * arrayBytes)
  assert.ok(memory.heapUsedBytes > 0 && memory.heapUsedBytes <= memory.heapBytes)
  assert.ok(memory.heapBytes < arrayBytes, 'the array is not in the heap')
  await worker.terminate()
  assert.deepEqual(await readWorkerMemory(systemClock, worker), [])
})
