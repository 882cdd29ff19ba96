/** Applies a folder of definitions at start, where it differs from what is in force. */

import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { applyRecordOf } from '../process/apply-record.ts'
import { parseDefinitionFiles } from '../process/definition-files.ts'
import { encodeDocument } from '../process/definitions.ts'
import { decodeJson, metaKey, type PartitionMeta } from '../process/meta.ts'
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

/**
 * Resolves when the definitions of `folder`, with an overlay file if given, are in force in every
 * partition.
 */
export async function applyDefinitions(
  deps: ApplyDeps,
  folder: string,
  { overlay, signal }: { readonly overlay?: string; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const answer = await parseDefinitionFiles(await readDefinitionFolder(folder), overlay)
  if (answer.kind === 'refused') {
    const says = describeDefinitionFaults(answer.faults)
    throw new OperatingError('DEFINITIONS_INVALID', `read ${folder}:\n${says}`)
  }
  const bytes = encodeDocument(answer.document)
  const hash = sha256Hex(bytes)
  const { log, state, blobs } = deps
  const { partitionCount } = log.identity
  // Also where they are in force: a side store that was lost has its definitions back by this.
  await blobs.put([bytes])
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
    Array.from({ length: partitionCount }, async (_, partition) => {
      const [bytes] = await state.get(partition, [metaKey])
      return bytes === undefined ? '' : decodeJson<PartitionMeta>(bytes).definitionsHash
    }),
  )
  return found.every((each) => each === hash)
}

/** Returns the hash of the definitions in force in the control partition; '' for none. */
export async function definitionsHashOf(state: StateReader): Promise<string> {
  const [bytes] = await state.get(0, [metaKey])
  return bytes === undefined ? '' : decodeJson<PartitionMeta>(bytes).definitionsHash
}
