/**
 * How the side store loses what it took, under owners that live on.
 *
 *     newest evidence is lost   Redis without `appendfsync always` had not synced it
 *     side store is emptied     with a master of a cluster; FLUSHALL takes the state as well
 *
 * What holds: evidence that is gone cannot be made again, what is made later is whole. Whoever has
 * the definitions in memory goes on; the others stop for want of them, until the operator brings
 * them back and starts the workers again.
 */

import type { Random } from '../../src/lib/random.ts'
import type { BlobStore } from '../../src/state/blob-store.ts'
import type { MemoryBlobStore } from '../../src/state/memory-blob-store.ts'
import type { Observer } from './observer.ts'
import type { Timeline } from './virtual-clock.ts'
import { hourMs } from './world-definitions.ts'

const newestCountMax = 6
const repairMsMax = 2 * hourMs

export interface BlobLossDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly random: Random
  readonly blobs: MemoryBlobStore
}

export class BlobLosses {
  /** When all was lost, each time. */
  readonly emptiedAtMs: number[] = []
  /** True from a loss of definitions until they are there again. */
  isLacking = false
  readonly #deps: BlobLossDeps
  /** What the operator has in a folder. */
  readonly #documents = new Map<string, Uint8Array>()
  readonly #lost = new Set<string>()

  constructor(deps: BlobLossDeps) {
    this.#deps = deps
  }

  /** The side store as whoever applies definitions has it. */
  get ofOperator(): BlobStore {
    const { blobs } = this.#deps
    return {
      ...blobs,
      put: async (given) => {
        const hashes = await blobs.put(given)
        hashes.forEach((hash, index) => {
          this.#documents.set(hash, given[index] as Uint8Array)
        })
        return hashes
      },
    }
  }

  isLost(hash: string): boolean {
    return this.#lost.has(hash)
  }

  loseNewest(): void {
    const { blobs, random } = this.#deps
    const count = Math.ceil(newestCountMax * random.unit())
    const evidence = blobs.hashes().filter((hash) => !this.#documents.has(hash))
    this.#lose(evidence.slice(-count))
  }

  /** Resolves when definitions and lists are there again. */
  async loseAll(): Promise<void> {
    const { blobs, random, timeline } = this.#deps
    this.#lose(blobs.hashes())
    this.emptiedAtMs.push(timeline.nowMs)
    this.isLacking = true
    await timeline.sleep(repairMsMax * random.unit())
    await blobs.put([...this.#documents.values()])
    this.isLacking = false
  }

  #lose(hashes: readonly string[]): void {
    const { blobs, observer } = this.#deps
    observer.note('world', `the side store loses ${hashes.length} blobs`)
    for (const hash of hashes) {
      blobs.forget(hash)
      this.#lost.add(hash)
    }
  }
}
