/**
 * Fits the weights of a blend to what people did next: the weights of a mixture under which the
 * items that were met are most likely, by expectation maximisation (Dempster et al. 1977). Each
 * round gives every algorithm its part in each prediction, and then makes its weight the mean of
 * its parts. The likelihood never falls, nothing is to be tuned, and there is one optimum.
 */

import { type AlgorithmName, algorithmNames } from '../algorithm-names.ts'
import { type BlendWeights, rowOwnCounts } from '../blend-weights.ts'

/** What each algorithm gave to the item that came, in the order of `algorithmNames`. */
export interface WeightSample {
  /** Row of weights that the query falls into; see `weightRowOf`. */
  readonly row: number
  readonly shares: Float64Array
}

const roundCount = 100
/** A smaller weight is not worth the algorithm's time. */
const weightMin = 0.005
/** Samples below which a row takes the weights of all rows together. */
const rowSampleCountMin = 200

/** Returns a row of weights for each range of own items; `fallback` where there is no sample. */
export function fitWeights(samples: readonly WeightSample[], fallback: BlendWeights): BlendWeights {
  const all = fitRow(samples)
  return rowOwnCounts.map((_, row) => {
    const own = samples.filter((sample) => sample.row === row)
    const fitted = own.length < rowSampleCountMin ? all : fitRow(own)
    return fitted ?? fallback[row] ?? {}
  })
}

function fitRow(samples: readonly WeightSample[]): Readonly<Record<string, number>> | undefined {
  const count = algorithmNames.length
  const weights = new Float64Array(count).fill(1 / count)
  const parts = new Float64Array(count)
  for (let round = 0; round < roundCount; round++) {
    parts.fill(0)
    let explained = 0
    for (const { shares } of samples) {
      let sum = 0
      for (let index = 0; index < count; index++) {
        sum += (weights[index] ?? 0) * (shares[index] ?? 0)
      }
      if (sum <= 0) continue
      explained += 1
      for (let index = 0; index < count; index++) {
        const part = ((weights[index] ?? 0) * (shares[index] ?? 0)) / sum
        parts[index] = (parts[index] ?? 0) + part
      }
    }
    if (explained === 0) return undefined
    for (let index = 0; index < count; index++) weights[index] = (parts[index] ?? 0) / explained
  }
  const kept: Partial<Record<AlgorithmName, number>> = {}
  for (const [index, name] of algorithmNames.entries()) {
    const weight = weights[index] ?? 0
    if (weight >= weightMin) kept[name] = Math.round(weight * 1000) / 1000
  }
  return kept
}
