/**
 * How old the data of a partition may be.
 *
 * The owner confirms an instant at which it had folded and committed all that the log held, with an
 * empty outbox. The age is the time since then: known, not guessed. Shared between threads, one
 * number per partition.
 */
export interface Freshness {
  confirm(partition: number, atMs: number): void
  /** 0 where nothing was confirmed yet. */
  confirmedAtMs(partition: number): number
}

/** `shared` holds 8 bytes per partition; threads that get the same buffer see the same times. */
export function createFreshness(shared: SharedArrayBuffer): Freshness {
  const times = new Float64Array(shared)
  return {
    confirm: (partition, atMs) => {
      times[partition] = atMs
    },
    confirmedAtMs: (partition) => times[partition] ?? 0,
  }
}

/**
 * How far the slowest of the partitions lies behind. One that no one has confirmed since the start
 * lags by no more than is known of it: counted from 1970, every start would begin with a lag.
 */
export function lagMsOf(
  freshness: Freshness,
  partitions: Iterable<number>,
  at: { readonly nowMs: number; readonly startedAtMs: number },
): number {
  let oldestMs = at.nowMs
  for (const partition of partitions) {
    oldestMs = Math.min(oldestMs, freshness.confirmedAtMs(partition) || at.startedAtMs)
  }
  return at.nowMs - oldestMs
}
