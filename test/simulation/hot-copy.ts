/**
 * The copy in Redis before a primary, as it outlives its owners: it may go back to what it was, be
 * emptied, be away for a while, or lose an answer. Whoever reads sees what the primary has, all the
 * same: a copy that is not of the newest commit counts as none.
 */

import { OperatingError } from '../../src/lib/errors.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import type { Random } from '../../src/lib/random.ts'
import { createCopiedStateStore } from '../../src/state/copied-state-store.ts'
import type { MemoryStateStore } from '../../src/state/memory-state-store.ts'
import type { CopiedValue, StateCopy } from '../../src/state/state-copy.ts'
import type { PartitionCommit, StateStore } from '../../src/state/state-store.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { Observer } from './observer.ts'
import type { OwnerProcess } from './owner-process.ts'
import type { Timeline } from './virtual-clock.ts'
import { minuteMs } from './world-definitions.ts'

const keptShare = 1 / 40
const awayMsMax = 10 * minuteMs
const callMsMax = 20
const slowShare = 1 / 20

export interface HotCopyDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly random: Random
  /** What the primary has. */
  readonly store: MemoryStateStore
}

interface Copied {
  readonly tag: string
  readonly values: Map<string, Uint8Array | null>
}

type Changed = Parameters<StateCopy['apply']>[2]

export class HotCopy {
  readonly #deps: HotCopyDeps
  readonly #wrap: (copy: StateCopy) => StateCopy
  #copies = new Map<number, Copied>()
  /** What it may go back to. */
  #kept = new Map<number, Copied>()
  #awayUntilMs = 0

  constructor(deps: HotCopyDeps, wrap = (copy: StateCopy): StateCopy => copy) {
    this.#deps = deps
    this.#wrap = wrap
  }

  /** The state as a process has it: the primary, with this copy before it. */
  before(primary: StateStore, process: OwnerProcess): StateStore {
    const { clock, random } = process
    const copy = this.#wrap(this.#reachedBy(process))
    const deps = { clock, random, logger: silentLogger, primary, copy }
    return this.#watch(createCopiedStateStore(deps), process.name)
  }

  /** Compares what is read with what the state has, unless a commit of it is under way. */
  #watch(store: StateStore, name: string): StateStore {
    const { store: truth, observer } = this.#deps
    const underWay = new Map<string, number>()
    const note = (commits: readonly PartitionCommit[], count: number): void => {
      for (const { partition, changes } of commits) {
        for (const { key } of changes) {
          const place = `${partition} ${key}`
          underWay.set(place, (underWay.get(place) ?? 0) + count)
        }
      }
    }
    return {
      head: (partition) => store.head(partition),
      scan: (partition, prefix, after, countMax) => store.scan(partition, prefix, after, countMax),
      acquire: (partition, epoch, nonce) => store.acquire(partition, epoch, nonce),
      release: (partition, epoch, nonce) => store.release(partition, epoch, nonce),
      close: async () => {},
      async commit(commits) {
        note(commits, 1)
        return await store.commit(commits).finally(() => note(commits, -1))
      },
      async get(partition, keys) {
        const isOpen = keys.map((key) => (underWay.get(`${partition} ${key}`) ?? 0) > 0)
        const before = await truth.get(partition, keys)
        const values = await store.get(partition, keys)
        const after = await truth.get(partition, keys)
        for (const [at, key] of keys.entries()) {
          const isMoving = isOpen[at] || !isSame(before[at], after[at])
          if (isMoving || isSame(values[at], after[at])) continue
          observer.violate('I9', `${name} reads ${key} as it is not in the state`)
        }
        return values
      },
    }
  }

  #reachedBy(process: OwnerProcess): StateCopy {
    const call = async <Result>(run: () => Result): Promise<Result> => {
      const { timeline, random } = this.#deps
      await process.awake()
      if (random.unit() < slowShare) await timeline.sleep(callMsMax * random.unit())
      await process.awake()
      this.#suffer()
      return run()
    }
    return {
      begin: (partition, tag) =>
        call(() => {
          this.#copies.set(partition, { tag, values: new Map() })
        }),
      retag: (partition, from, to) => call(() => this.#retag(partition, from, to)),
      get: (partition, keys) => call(() => this.#get(partition, keys)),
      apply: (partition, from, to) => call(() => this.#apply(partition, from, to)),
      fill: (partition, tag, entries) =>
        call(() => {
          this.#change(partition, tag, { tag, changes: entries })
        }),
      close: async () => {},
    }
  }

  #suffer(): void {
    const { timeline, plan, observer, random } = this.#deps
    const { nowMs } = timeline
    if (plan.take('hot copy goes back', nowMs)) {
      observer.note('world', 'the hot copy goes back')
      this.#copies = new Map(this.#kept)
    }
    if (plan.take('hot copy is emptied', nowMs)) this.#copies.clear()
    if (plan.take('hot copy is away', nowMs)) this.#awayUntilMs = nowMs + awayMsMax * random.unit()
    if (nowMs < this.#awayUntilMs) throw new OperatingError('STORE_UNREACHABLE', 'reach the copy')
  }

  #retag(partition: number, from: string, tag: string): boolean {
    const copied = this.#copies.get(partition)
    if (copied?.tag !== from) return false
    this.#copies.set(partition, { ...copied, tag })
    return true
  }

  #get(partition: number, keys: readonly string[]) {
    const { tag = '', values } = this.#copies.get(partition) ?? {}
    const found = keys.map((key): CopiedValue => {
      const value = values?.get(key)
      return value instanceof Uint8Array ? value.slice() : value
    })
    return { tag, values: found }
  }

  #apply(partition: number, from: string, to: Changed): boolean {
    const { plan, timeline, random } = this.#deps
    if (random.unit() < keptShare) this.#kept = new Map(this.#copies)
    const isApplied = this.#change(partition, from, to)
    if (!isApplied) this.#copies.delete(partition)
    if (plan.take('hot copy reply lost', timeline.nowMs)) {
      throw new OperatingError('STORE_UNREACHABLE', 'change the copy')
    }
    return isApplied
  }

  #change(partition: number, from: string, { tag, changes }: Changed): boolean {
    const copied = this.#copies.get(partition)
    if (copied?.tag !== from) return false
    // What it may go back to stays as it was.
    const isKept = this.#kept.get(partition)?.values === copied.values
    const values = isKept ? new Map(copied.values) : copied.values
    for (const { key, value } of changes) values.set(key, value?.slice() ?? null)
    this.#copies.set(partition, { tag, values })
    return true
  }
}

function isSame(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return Buffer.compare(left, right) === 0
}
