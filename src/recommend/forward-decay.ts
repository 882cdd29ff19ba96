/**
 * Forward decay (Cormode et al., "Forward decay", ICDE 2009): a newer interaction weighs more
 * instead of an older one less, so nothing is ever scaled down. Instants count by the minute, since
 * many interactions share one and the power is looked up then.
 */

import { type Transfer, transferInstant } from './transfer.ts'

const minuteMs = 60_000

export interface DecayOptions {
  readonly halfLifeMs: number
  /** Half-lives from the first instant, and where the exponent begins; bounds what is weighed. */
  readonly exponentMin: number
  readonly exponentMax: number
  readonly exponentAtFirst: number
}

export class ForwardDecay {
  readonly #options: DecayOptions
  #beganMinute: number | undefined
  #minute = Number.NaN
  #weight = 0

  constructor(options: DecayOptions) {
    this.#options = options
  }

  /** Returns what an interaction at an instant weighs, a power of two; all share the scale. */
  weightAt(atMs: number): number {
    const minute = Math.floor(atMs / minuteMs)
    if (minute === this.#minute) return this.#weight
    this.#beganMinute ??= minute
    const { halfLifeMs, exponentMin, exponentMax, exponentAtFirst } = this.#options
    const halfLives = ((minute - this.#beganMinute) * minuteMs) / halfLifeMs + exponentAtFirst
    this.#minute = minute
    this.#weight = 2 ** Math.min(exponentMax, Math.max(exponentMin, halfLives))
    return this.#weight
  }

  transfer(through: Transfer): void {
    this.#beganMinute = transferInstant(through, this.#beganMinute)
    this.#minute = Number.NaN
  }
}
