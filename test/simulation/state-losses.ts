/**
 * How the state goes back to what it was: with its machine, when all owners die too; or alone,
 * under owners that live on.
 *
 *     fault        the real thing                                      takes back
 *     roll-back    power is lost; the newest commits were not synced   all, and every owner dies
 *     rewind       Redis fails over to an older replica                all
 *     rewind-one   the same with one master of a cluster               one partition
 *     empty        FLUSHALL, or a Redis that comes back without files  all
 *     empty-one    the same with one master of a cluster               one partition
 *     is lost      the file of the state is gone, or as empty          all, and every owner dies
 *
 * What holds of each: whole commits go, from the newest backwards, ownership too. The owner notices
 * by its head, within a second also when idle; what was lost is folded again from the log; nothing
 * is handed over by what the store forgot.
 */

import type { Random } from '../../src/lib/random.ts'
import type { MemoryStateSnapshot, MemoryStateStore } from '../../src/state/memory-state-store.ts'
import type { StateStore } from '../../src/state/state-store.ts'
import type { LossKind } from './fault-plan.ts'
import type { Observer } from './observer.ts'
import type { Timeline } from './virtual-clock.ts'
import { partitionCount, secondMs } from './world-definitions.ts'

const snapshotShare = 1 / 80
const snapshotCount = 3
const partitionNumbers = Array.from({ length: partitionCount }, (_, partition) => partition)

export interface LossDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly random: Random
  readonly store: MemoryStateStore
}

export class StateLosses {
  /** Of each partition, under living owners: each commit of Redis has a number, which shows it. */
  readonly counts: number[] = partitionNumbers.map(() => 0)
  readonly #deps: LossDeps
  #snapshots: { readonly state: MemoryStateSnapshot }[] = []
  /** Owners that look again only after a long time; the real ones look every second. */
  readonly #idle = new Set<() => void>()

  constructor(deps: LossDeps) {
    this.#deps = deps
  }

  /** The state, with what it may go back to. */
  watch(): StateStore {
    const { store, random } = this.#deps
    return {
      ...store,
      commit: async (commits) => {
        if (random.unit() < snapshotShare || this.#snapshots.length === 0) {
          this.#snapshots.push({ state: store.snapshot() })
          if (this.#snapshots.length > snapshotCount) this.#snapshots.shift()
        }
        return await store.commit(commits)
      },
    }
  }

  /** To one of the last snapshots, when nobody is left who knows better. */
  rollBack(): void {
    this.#rewind()
    this.#tell(partitionNumbers)
  }

  /** All of it, when nobody is left. */
  empty(): void {
    for (const each of partitionNumbers) this.#deps.store.empty(each)
    this.#tell(partitionNumbers)
  }

  /** Under living owners. */
  lose(kind: LossKind): void {
    const { store, random, timeline } = this.#deps
    const one = Math.floor(partitionCount * random.unit())
    const partitions = kind === 'rewind' || kind === 'empty' ? partitionNumbers : [one]
    if (kind === 'rewind') this.#rewind()
    else if (kind === 'rewind-one') this.#rewind(one)
    else for (const each of partitions) store.empty(each)
    for (const each of partitions) this.counts[each] = (this.counts[each] ?? 0) + 1
    this.#tell(partitions)
    void timeline.sleep(secondMs).then(() => {
      for (const wake of this.#idle) wake()
    })
  }

  /** Resolves when whoever looks every second has seen what was lost, or when `signal` aborts. */
  nextLook(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#idle.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#idle.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  #rewind(partition?: number): void {
    const { random, store } = this.#deps
    const kept = this.#snapshots[Math.floor(random.unit() * this.#snapshots.length)]
    if (kept === undefined) return
    store.restore(kept.state, partition)
    if (partition !== undefined) return
    this.#snapshots = this.#snapshots.slice(0, this.#snapshots.indexOf(kept) + 1)
  }

  #tell(partitions: readonly number[]): void {
    const { observer, store } = this.#deps
    for (const each of partitions) observer.rolledBack(each, store.headNow(each))
  }
}
