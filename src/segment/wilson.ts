/**
 * The interval in which a share lies, from a sample of it.
 *
 * Wilson's score interval: with n looked at, of which the share p was met,
 *
 *     (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
 *
 * It stays within [0, 1] and holds for small shares too, where the usual p +- z sqrt(p(1-p)/n) does
 * not. Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
 * inference", Journal of the American Statistical Association 22 (1927), 209-212; compared with
 * others in L. D. Brown, T. T. Cai, A. DasGupta, "Interval estimation for a binomial proportion",
 * Statistical Science 16 (2001), 101-133.
 */

import { assert } from '../lib/assert.ts'

/** Quantile of the normal distribution for 95 percent, both sides. */
const z = 1.959964

export interface ShareInterval {
  readonly low: number
  readonly high: number
}

/** Returns the 95 percent interval of a share of which `metCount` of `sampleCount` were met. */
export function wilsonInterval(metCount: number, sampleCount: number): ShareInterval {
  assert(0 <= metCount && metCount <= sampleCount, 'as many are met as are looked at, or fewer')
  if (sampleCount === 0) return { low: 0, high: 1 }
  const share = metCount / sampleCount
  const z2 = z * z
  const middle = share + z2 / (2 * sampleCount)
  const spread = z * Math.sqrt((share * (1 - share)) / sampleCount + z2 / (4 * sampleCount ** 2))
  const scale = 1 + z2 / sampleCount
  return {
    low: metCount === 0 ? 0 : (middle - spread) / scale,
    high: metCount === sampleCount ? 1 : (middle + spread) / scale,
  }
}
