/**
 * How old the data of a partition may be.
 *
 * The owner confirms an instant at which it had folded and committed all that the log held, with an
 * empty outbox. The age is the time since then: known, not guessed. A store may lose what was
 * confirmed; then its head is behind an offset that somebody here has seen. Shared between threads,
 * two numbers per partition.
 */
export interface Freshness {
  /** 0 takes back what was confirmed. */
  confirm(partition: number, atMs: number): void
  /** 0 where nothing was confirmed yet. */
  confirmedAtMs(partition: number): number
  /** Notes how far the state was; it is further on from then on, or the store has lost commits. */
  noteReached(partition: number, offset: number): void
  /** Returns the greatest offset noted. Ask before the head is read that it is compared with. */
  reachedOffset(partition: number): number
}

const numbersOfEach = 2

/** Returns what all threads of a process share. */
export function createFreshnessBuffer(partitionCount: number): SharedArrayBuffer {
  return new SharedArrayBuffer(numbersOfEach * Float64Array.BYTES_PER_ELEMENT * partitionCount)
}

/** Threads that get the same buffer see the same times. */
export function createFreshness(shared: SharedArrayBuffer): Freshness {
  const partitionCount = shared.byteLength / Float64Array.BYTES_PER_ELEMENT / numbersOfEach
  const times = new Float64Array(shared, 0, partitionCount)
  const offsets = new Float64Array(shared, times.byteLength, partitionCount)
  return {
    confirm: (partition, atMs) => {
      times[partition] = atMs
    },
    confirmedAtMs: (partition) => times[partition] ?? 0,
    noteReached: (partition, offset) => {
      offsets[partition] = Math.max(offset, offsets[partition] ?? 0)
    },
    reachedOffset: (partition) => offsets[partition] ?? 0,
  }
}

/**
 * How far the slowest of the partitions lies behind. One that no one has confirmed since the start
 * lags by no more than is known of it: counted from 1970, every start would begin with a lag.
 */
export function lagMsOf(
  freshness: Pick<Freshness, 'confirmedAtMs'>,
  partitions: Iterable<number>,
  at: { readonly nowMs: number; readonly startedAtMs: number },
): number {
  let oldestMs = at.nowMs
  for (const partition of partitions) {
    oldestMs = Math.min(oldestMs, freshness.confirmedAtMs(partition) || at.startedAtMs)
  }
  return at.nowMs - oldestMs
}
