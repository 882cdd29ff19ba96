import { growTo } from './typed-array.ts'

/**
 * Gives candidates by falling score; of equals the one met first. Ordered only as far as taken. It
 * is filled anew for each query.
 */
export class CandidateHeap {
  #scores: Float64Array = new Float64Array(0)
  #heap: Int32Array = new Int32Array(1024)
  #count = 0

  /** Begins with the first `count` of `scores`, which must stay as they are while it is asked. */
  fill(scores: Float64Array, count: number): void {
    this.#scores = scores
    this.#count = count
    this.#heap = growTo(this.#heap, count)
    for (let at = 0; at < count; at++) this.#heap[at] = at
    for (let at = (count >>> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  take(): number | undefined {
    if (this.#count === 0) return undefined
    const best = this.#heap[0]
    this.#count -= 1
    this.#heap[0] = this.#heap[this.#count] ?? 0
    this.#sink(0)
    return best
  }

  #sink(start: number): void {
    let at = start
    for (;;) {
      let best = at
      const left = at * 2 + 1
      if (left < this.#count && this.#isBefore(left, best)) best = left
      if (left + 1 < this.#count && this.#isBefore(left + 1, best)) best = left + 1
      if (best === at) return
      const moved = this.#heap[at] ?? 0
      this.#heap[at] = this.#heap[best] ?? 0
      this.#heap[best] = moved
      at = best
    }
  }

  #isBefore(left: number, right: number): boolean {
    const first = this.#heap[left] ?? 0
    const second = this.#heap[right] ?? 0
    const difference = (this.#scores[first] ?? 0) - (this.#scores[second] ?? 0)
    return difference > 0 || (difference === 0 && first < second)
  }
}
