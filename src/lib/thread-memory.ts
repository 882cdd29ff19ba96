/**
 * Tells what the threads of this process hold: each has a heap of its own, and arrays and buffers
 * outside of it. What native code takes for itself, such as the page caches of SQLite, is in none
 * of them.
 */

import { getHeapStatistics, type HeapInfo } from 'node:v8'
import type { Worker } from 'node:worker_threads'
import type { Clock } from './clock.ts'
import { answerWithin } from './port-call.ts'

export interface ThreadMemory {
  /** Name of the thread; several may have the same. */
  readonly thread: string
  /** Memory that the heap has taken from the system and touched, free space in it included. */
  readonly heapBytes: number
  /** Of these, what objects take; some of it may be garbage. */
  readonly heapUsedBytes: number
  /** Arrays and buffers beside the heap. */
  readonly externalBytes: number
}

const answerMsMax = 1000

export function readOwnMemory(thread: string): ThreadMemory {
  return memoryOf(thread, getHeapStatistics())
}

/**
 * Asks a worker, which answers between two steps of its program. Returns nothing for one that has
 * ended, or that a call of native code keeps for too long.
 */
export async function readWorkerMemory(
  clock: Clock,
  worker: Worker,
): Promise<readonly ThreadMemory[]> {
  const thread = worker.threadName
  const asked = worker.getHeapStatistics().catch(() => undefined)
  const heap = await answerWithin(clock, asked, answerMsMax)
  return heap === undefined || thread === null ? [] : [memoryOf(thread, heap)]
}

function memoryOf(thread: string, heap: HeapInfo): ThreadMemory {
  return {
    thread,
    heapBytes: heap.total_physical_size,
    heapUsedBytes: heap.used_heap_size,
    externalBytes: heap.external_memory,
  }
}
