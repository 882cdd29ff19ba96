/** Who waits for news of one partition. */
export class Arrivals {
  readonly #waiting = new Set<() => void>()

  /** Resolves when there is news, or after what `giveUp` waits for. */
  async next(giveUp: Promise<void>): Promise<void> {
    const arrived = Promise.withResolvers<void>()
    this.#waiting.add(arrived.resolve)
    await Promise.race([arrived.promise, giveUp])
    this.#waiting.delete(arrived.resolve)
  }

  /** Wakes whoever waits: there is news, or none will come. */
  tell(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
