/** Where an import writes: the log of a data directory, a server, or nowhere for a dry run. */

import type { EventResult } from '../collect/collect-batch.ts'
import type { JsonObject } from '../lib/json.ts'

/** What became of an item that was found in the logs after a kill. */
export type KnownItems = ReadonlyMap<string, EventResult['status']>

export interface ImportTarget {
  /** What identifies it for ever: the log's incarnation, or the address of the server. */
  readonly id: string
  readonly sourceId: string
  /** Events of one `write`. */
  readonly batchCountMax: number
  /** Bytes of one `write` as JSON. */
  readonly batchBytesMax: number
  /** Writes under way at the same time; they become durable in the order of the calls. */
  readonly windowCountMax: number
  /** Resolves when each item is durable: as an event, or with its reason in `rejected`. */
  write(items: readonly JsonObject[]): Promise<readonly EventResult[]>
  /** Returns where each partition of both logs ends now; nothing where only a server knows. */
  ends(): Promise<readonly number[]>
  /** Returns the items of this source that were written behind `ends`. */
  knownBehind(ends: readonly number[]): Promise<KnownItems>
  close(): Promise<void>
}
