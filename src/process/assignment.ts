/**
 * Which partitions this process should own, as the log last said.
 *
 * A partition that another process has, or that cannot be owned, is put off for a while; the next
 * word of the log ends that.
 */

import type { Owned } from './ownership.ts'

const putOffMs = 10_000

export class Assignment {
  /** Resolves when the log assigns no more; rejects where it cannot. */
  readonly ended: Promise<void>
  #wanted: ReadonlySet<number> = new Set()
  /** By partition: no attempt before this monotonic time. */
  #notBefore = new Map<number, number>()
  #onChange: (() => void) | undefined
  #failure: unknown
  readonly #first = Promise.withResolvers<void>()

  constructor(assigned: AsyncIterable<readonly number[]>) {
    this.ended = this.#follow(assigned)
    // Thrown by `toTake`; nobody waits for it before the end.
    this.ended.catch(() => undefined)
  }

  /** Resolves when the log has spoken once, or `signal` aborts. */
  async first(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#first.resolve()
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    await this.#first.promise
    signal.removeEventListener('abort', stop)
  }

  isWanted(partition: number): boolean {
    return this.#wanted.has(partition)
  }

  placeOf(partition: number): { readonly partition: number; readonly isWanted: boolean } {
    return { partition, isWanted: this.isWanted(partition) }
  }

  /** Returns what is wanted and not among `owneds`. Throws where the log cannot assign any more. */
  toTake(owneds: readonly Owned[], nowMs: number): readonly number[] {
    if (this.#failure !== undefined) throw this.#failure
    const owned = owneds.map(({ fold }) => fold.partition)
    if (owned.length === this.#wanted.size && owned.every((each) => this.#wanted.has(each))) {
      return []
    }
    return [...this.#wanted].filter(
      (each) => !owned.includes(each) && (this.#notBefore.get(each) ?? 0) <= nowMs,
    )
  }

  /** Tells whether nothing has to be taken or given up now. */
  isSettled(owneds: readonly Owned[], nowMs: number): boolean {
    const isKept = ({ fold, isDrained }: Owned): boolean =>
      isDrained === undefined && this.isWanted(fold.partition)
    return this.toTake(owneds, nowMs).length === 0 && owneds.every(isKept)
  }

  putOff(partition: number, nowMs: number): void {
    this.#notBefore.set(partition, nowMs + putOffMs)
  }

  /** Calls `listener` once the log says something else. */
  onChange(listener: (() => void) | undefined): void {
    this.#onChange = listener
  }

  async #follow(assigned: AsyncIterable<readonly number[]>): Promise<void> {
    try {
      for await (const partitions of assigned) {
        this.#wanted = new Set(partitions)
        this.#notBefore = new Map()
        this.#first.resolve()
        this.#onChange?.()
      }
    } catch (error) {
      this.#failure = error
      this.#first.resolve()
      this.#onChange?.()
      throw error
    }
  }
}
