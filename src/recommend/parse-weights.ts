/**
 * Weights of a blend as a definition states them: one map of algorithms for everybody, or one for
 * each range of own items. What they say are shares: only their proportion counts.
 *
 *     weights: {session-neighbours: 2, trending: 1}
 *     weights:
 *       1: {session-neighbours: 0.4, two-steps: 0.6}
 *       5+: {co-visitation: 1}            a range left out takes the shipped weights
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { algorithmNames } from './algorithm-names.ts'
import {
  type BlendWeights,
  defaultWeights,
  isAlgorithmName,
  rowOwnCounts,
  type WeightRow,
} from './blend-weights.ts'

/** Names of the ranges of own items, in the order of `rowOwnCounts`. */
export const rowNames: readonly string[] = rowOwnCounts.map((from, row) => {
  const next = rowOwnCounts[row + 1]
  if (next === undefined) return `${from}+`
  return next === from + 1 ? `${from}` : `${from}-${next - 1}`
})

const weightMax = 1_000_000

/** Returns weights, each row of a sum of 1; tells `refuse` of all that is wrong with them. */
export function parseWeights(
  input: Json,
  path: string,
  refuse: (path: string, says: string) => void,
): BlendWeights | undefined {
  let isFit = true
  const deny = (at: string, says: string): void => {
    isFit = false
    refuse(at, says)
  }
  if (!isJsonObject(input) || Object.keys(input).length === 0) {
    deny(path, `must be {${algorithmNames[0]}: 0.6, trending: 0.4}, or such a one for each range`)
    return undefined
  }
  const names = Object.keys(input)
  if (!names.some((name) => rowNames.includes(name))) {
    const row = parseRow(input, path, deny)
    return isFit ? rowNames.map(() => row) : undefined
  }
  for (const name of names.filter((each) => !rowNames.includes(each))) {
    deny(`${path}.${name}`, `is no range of own items; there are ${rowNames.join(', ')}`)
  }
  const rows = rowNames.map((name, index) => {
    const given = input[name]
    if (given === undefined) return defaultWeights[index] ?? {}
    if (isJsonObject(given)) return parseRow(given, `${path}.${name}`, deny)
    deny(`${path}.${name}`, 'must be an object with algorithms and their weights')
    return {}
  })
  return isFit ? rows : undefined
}

/** Returns weights as a definition states them. */
export function statedWeights(weights: BlendWeights): Readonly<Record<string, WeightRow>> {
  return Object.fromEntries(rowNames.map((name, row) => [name, weights[row] ?? {}]))
}

function parseRow(
  input: JsonObject,
  path: string,
  deny: (path: string, says: string) => void,
): WeightRow {
  const row: Record<string, number> = {}
  let sum = 0
  let isRead = true
  for (const [name, weight] of Object.entries(input)) {
    const at = `${path}.${name}`
    if (!isAlgorithmName(name)) {
      deny(at, `is no algorithm; there are ${algorithmNames.join(', ')}`)
      isRead = false
    } else if (typeof weight !== 'number' || !(weight >= 0 && weight <= weightMax)) {
      deny(at, `must be a number from 0 to ${weightMax}`)
      isRead = false
    } else {
      row[name] = weight
      sum += weight
    }
  }
  if (isRead && sum === 0) deny(path, 'must have a weight above 0')
  return Object.fromEntries(Object.entries(row).map(([name, weight]) => [name, weight / sum]))
}
