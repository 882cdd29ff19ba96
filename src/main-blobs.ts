/**
 * Thread of `state/sqlite-blob-thread.ts`: packs blobs and commits them. It is called `put` with
 * several puts at a time, which share a commit, and `close`.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from './lib/assert.ts'
import { servePort } from './lib/port-call.ts'
import type { BlobStore } from './state/blob-store.ts'
import { openSqliteBlobStore } from './state/sqlite-blob-store.ts'
import type { BlobWorkerData } from './state/sqlite-blob-thread.ts'

assert(parentPort !== null, 'main-blobs runs as a worker')
// Who starts the thread wrote it.
const { dataDir } = workerData as BlobWorkerData
/** Opened by the first put that can: where the disk refuses, that is a failure of the put. */
let store: BlobStore | undefined

servePort(parentPort, {
  put: async (puts: readonly (readonly Uint8Array[])[]) => {
    const opened = store ?? (await openSqliteBlobStore({ dataDir }))
    store = opened
    return await Promise.all(puts.map((blobs) => opened.put(blobs)))
  },
  close: () => store?.close(),
})
