/**
 * When the collector may be asked again.
 *
 * A failure doubles the wait of this page. What the collector itself asks for (`Retry-After`, with
 * 429 and 503) is kept for all tabs and for the pages that follow, and no event of the browser
 * shortens it.
 */

const retryMsFirst = 1_000
const doublingCountMax = 6
/** A longer wish is cut; a moment further ahead was left by a clock that was wrong. */
const askedMsMax = 300_000
const askedName = 'attune.w'

/**
 * @typedef {object} Pace
 * @property {() => number} waitMs
 * @property {(answer: Response | undefined) => void} fail
 * @property {() => void} succeed
 * @property {() => void} hurry When the network is back.
 */

/**
 * @param {import('./storage.js').Storage} storage
 * @returns {Pace}
 */
export function createPace(storage) {
  let failureCount = 0
  let retryAtMs = 0

  return {
    waitMs() {
      const askedMs = Number(storage.get(askedName) ?? 0) - Date.now()
      return Math.max(0, retryAtMs - Date.now(), askedMs > askedMsMax ? 0 : askedMs)
    },
    fail(answer) {
      // Scattered, so that not all browsers of a shop come back in the same instant.
      const chance = Math.random()
      const backoffMs = retryMsFirst * 2 ** Math.min(failureCount++, doublingCountMax)
      retryAtMs = Date.now() + (backoffMs * (1 + chance)) / 2
      const askedMs = Number(answer?.headers.get('retry-after')) * 1_000
      if (!askedMs) return
      const scatteredMs = Math.min(askedMs + 1_000 * chance, askedMsMax)
      storage.set(askedName, `${Date.now() + scatteredMs}`)
    },
    hurry() {
      retryAtMs = 0
    },
    succeed() {
      failureCount = 0
      storage.remove(askedName)
    },
  }
}
