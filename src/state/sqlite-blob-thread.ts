/**
 * Puts of a blob store on this machine, on a thread of their own: neither deflate nor the sync of
 * the disk holds up who puts. Reads stay with the caller.
 *
 * The thread starts with the first put, so a process that only reads has none. Puts that come
 * while a commit is under way share the next one; where it fails, each of them does. A thread that
 * ends by itself is an uncaught error of the thread that started it.
 */

import { Worker } from 'node:worker_threads'
import { createBatcher } from '../lib/batcher.ts'
import { createPortCaller } from '../lib/port-call.ts'
import { type BlobStore, checkBlobSizes } from './blob-store.ts'

/** What `main-blobs.ts` gets as `workerData`. */
export interface BlobWorkerData {
  readonly dataDir: string
}

type Put = readonly Uint8Array[]

/** Puts of one commit; few, so that none waits long for what others brought. */
const putCountMax = 64
/** What it makes and drops at once lies mostly in buffers, outside of its heap. */
const nurseryMb = 8

/** Returns `store` with its puts made by a thread; `dataDir` is where it lies. */
export function withPutThread(store: BlobStore, dataDir: string): BlobStore {
  let thread: PutThread | undefined
  let hasPut = false
  const put = createBatcher((puts: readonly Put[]) => {
    thread ??= startPutThread(dataDir)
    return thread.put(puts)
  }, putCountMax)
  return {
    async put(blobs) {
      // Here, so that one that is refused does not take others with it.
      checkBlobSizes(blobs)
      hasPut = true
      return await put(blobs)
    },
    get: (hash) => store.get(hash),
    async close() {
      // Behind all that came before, whatever becomes of that.
      if (hasPut) await Promise.allSettled([put([])])
      await thread?.close()
      await store.close()
    },
  }
}

interface PutThread {
  put(puts: readonly Put[]): Promise<readonly (readonly string[])[]>
  /** Closes the file and ends the thread. */
  close(): Promise<void>
}

function startPutThread(dataDir: string): PutThread {
  const worker = new Worker(new URL('../main-blobs.ts', import.meta.url), {
    name: 'blobs',
    workerData: { dataDir } satisfies BlobWorkerData,
    resourceLimits: { maxYoungGenerationSizeMb: nurseryMb },
  })
  const caller = createPortCaller(worker)
  return {
    put: (puts) => caller.call('put', puts),
    async close() {
      await caller.call('close')
      await worker.terminate()
    },
  }
}
