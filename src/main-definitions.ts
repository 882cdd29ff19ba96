/**
 * A thread that checks and compiles the definitions once and ends: MJML and what it loads take some
 * 90 MiB, and go with the thread.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from './lib/assert.ts'
import { type DefinitionFiles, parseDefinitionFiles } from './process/definition-files.ts'

export interface DefinitionsWorkerData {
  readonly files: DefinitionFiles
  readonly overlay: string | undefined
}

assert(parentPort !== null, 'this file is started as a thread')
// Another file of ours wrote it.
const { files, overlay } = workerData as DefinitionsWorkerData
parentPort.postMessage(await parseDefinitionFiles(files, overlay))
