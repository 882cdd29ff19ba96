import type { Prediction } from './metric.ts'

/** Latencies are kept in steps of 1 us up to 65 ms; what took longer counts as that. */
const latencyUsMax = 65_535

/** Counts how long answers took. */
export class Latency {
  readonly #counts = new Float64Array(latencyUsMax + 1)
  #count = 0

  observe({ latencyUs }: Pick<Prediction, 'latencyUs'>): void {
    const place = Math.min(latencyUsMax, Math.max(0, Math.round(latencyUs)))
    this.#counts[place] = (this.#counts[place] ?? 0) + 1
    this.#count += 1
  }

  /** Returns the latency that a share of the answers kept (nearest rank). */
  quantileUs(share: number): number {
    let left = Math.ceil(share * this.#count)
    if (left === 0) return 0
    for (let place = 0; place <= latencyUsMax; place++) {
      left -= this.#counts[place] ?? 0
      if (left <= 0) return place
    }
    return latencyUsMax
  }
}
