/**
 * Applies a folder of definitions at start, where it differs from what is in force.
 *
 * Order of effects: the document is stored before this process folds anything: what the log names
 * is there by then, also where the side store was lost. Then the record that applies it is
 * appended, and the folds of all partitions are waited for.
 */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { DefinitionsWorkerData } from '../main-definitions.ts'
import { applyRecordOf } from '../process/apply-record.ts'
import type { DefinitionFiles, DocumentAnswer } from '../process/definition-files.ts'
import { encodeDocument } from '../process/definitions.ts'
import { controlPartition } from '../process/fill-state.ts'
import { readMeta } from '../process/meta.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { describeDefinitionFaults, readDefinitionFolder } from './definition-folder.ts'

export interface ApplyDeps {
  readonly log: EventLog
  readonly state: StateReader
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

const applyMsMax = 30_000
const lookMs = 10
const lookMsMax = 100

/** Stores the definitions of `folder`, with an overlay file if given; returns their hash. */
export async function storeDefinitions(
  { blobs }: Pick<ApplyDeps, 'blobs'>,
  folder: string,
  overlay?: string,
): Promise<string> {
  const answer = await parseInThread(await readDefinitionFolder(folder), overlay)
  if (answer.kind === 'refused') {
    const says = describeDefinitionFaults(answer.faults)
    throw new OperatingError('DEFINITIONS_INVALID', `read ${folder}:\n${says}`)
  }
  const bytes = encodeDocument(answer.document)
  await blobs.put([bytes])
  return sha256Hex(bytes)
}

/** Compiles templates in a thread of its own, which leaves nothing behind. */
async function parseInThread(
  files: DefinitionFiles,
  overlay: string | undefined,
): Promise<DocumentAnswer> {
  const worker = new Worker(new URL('../main-definitions.ts', import.meta.url), {
    name: 'definitions',
    workerData: { files, overlay } satisfies DefinitionsWorkerData,
  })
  // Rejects with the error of a thread that fails.
  const [answer] = await once(worker, 'message')
  await worker.terminate()
  return answer as DocumentAnswer
}

/** Resolves when the definitions that were stored are in force in every partition. */
export async function applyDefinitions(
  deps: Omit<ApplyDeps, 'blobs'>,
  hash: string,
  signal?: AbortSignal,
): Promise<void> {
  const { log, state } = deps
  const { partitionCount } = log.identity
  if (await isInForce(state, partitionCount, hash)) return
  await log.append([applyRecordOf(deps, { hash })])
  const startedAtMs = deps.clock.monotonicMs()
  for (let waitMs = lookMs; !(await isInForce(state, partitionCount, hash)); waitMs *= 1.5) {
    if (signal?.aborted === true) return
    if (deps.clock.monotonicMs() - startedAtMs > applyMsMax) {
      deps.logger.warn({ hash }, 'the definitions are not in force everywhere yet; going on')
      return
    }
    await deps.clock.sleep(Math.min(waitMs, lookMsMax))
  }
  deps.logger.info({ hash: hash.slice(0, 12), partitionCount }, 'definitions in force')
}

async function isInForce(
  state: StateReader,
  partitionCount: number,
  hash: string,
): Promise<boolean> {
  const found = await Promise.all(
    Array.from({ length: partitionCount }, (_, partition) => definitionsHashOf(state, partition)),
  )
  return found.every((each) => each === hash)
}

/** Returns the hash of the definitions in force in a partition; '' for none. */
export async function definitionsHashOf(
  state: StateReader,
  partition = controlPartition,
): Promise<string> {
  return (await readMeta(state, partition))?.definitionsHash ?? ''
}
