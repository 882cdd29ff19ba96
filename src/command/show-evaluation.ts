/** How `attune evaluate` tells how far it is, and shows what it found. */

import { writeFile } from 'node:fs/promises'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { BlendWeights } from '../recommend/blend-weights.ts'
import type { Figures } from '../recommend/evaluate/score-board.ts'
import { statedWeights } from '../recommend/parse-weights.ts'
import { type Output, refuseUse } from './output.ts'

export type ShownFigures = Figures & { readonly algorithm: string }

const progressMs = 2_000

/** Returns what tells how far it is and how fast, every two seconds and at the start of a step. */
export function createProgress(
  output: Output,
  unit: string,
  isQuiet: boolean,
): (step: string, doneCount: number, allCount: number) => void {
  let step = ''
  let toldAtMs = 0
  let startedAtMs = 0
  let startedAt = 0
  return (name, doneCount, allCount) => {
    if (isQuiet) return
    const nowMs = systemClock.monotonicMs()
    if (name !== step) {
      step = name
      startedAtMs = nowMs
      startedAt = doneCount
    } else if (nowMs - toldAtMs < progressMs) return
    toldAtMs = nowMs
    const seconds = (nowMs - startedAtMs) / 1000
    const rate = seconds < 0.1 ? '' : `, ${Math.round((doneCount - startedAt) / seconds)}/s`
    output.progress(`${name}: ${doneCount} of ${allCount} ${unit}${rate}`)
  }
}

/** Rounds to what a machine should compare. */
export function roundFigures<Shown extends object>(figures: Shown): Shown {
  const rounded = Object.entries(figures).map(([name, value]) => {
    return [name, typeof value === 'number' ? Math.round(value * 1e6) / 1e6 : value] as const
  })
  return { ...figures, ...Object.fromEntries(rounded) }
}

export async function showFigures(
  output: Output,
  evaluations: readonly ShownFigures[],
): Promise<void> {
  const titles = [
    ...['algorithm', 'predictions', 'HR@20', 'MRR@20', 'recall', 'NDCG', 'coverage'],
    ...['popularity', 'diversity', 'p50 us', 'p99 us'],
  ]
  const rows = evaluations.map((each) => [
    each.algorithm,
    String(each.predictions),
    ...[each.hr20, each.mrr20, each.recall20, each.ndcg20, each.coverage].map((value) =>
      value.toFixed(4),
    ),
    each.popularityBias.toFixed(2),
    each.diversity.toFixed(4),
    String(each.latencyUs.p50),
    String(each.latencyUs.p99),
  ])
  await output.table([titles.map((title) => output.paint('bold', title)), ...rows])
}

/** Shows weights as `recommenders/NAME.yaml` takes them. */
export async function showWeights(output: Output, weights: BlendWeights): Promise<void> {
  await output.line('')
  await output.line('Weights of the blend, for 1, 2, 3 to 4, and 5 or more items that were met:')
  for (const line of linesOf(weights)) await output.line(line)
}

/** Writes a definition with weights; never over another file. */
export async function writeWeights(path: string, weights: BlendWeights): Promise<void> {
  const lines = [
    '# Weights fitted by `attune evaluate --fit`.',
    'kind: for-you',
    ...linesOf(weights),
  ]
  try {
    await writeFile(path, `${lines.join('\n')}\n`, { flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') refuseUse(`${path} is there already; give another name`)
    throw new OperatingError('STORE_IO', `write ${path}`, error)
  }
}

function linesOf(weights: BlendWeights): readonly string[] {
  const rows = Object.entries(statedWeights(weights)).map(([name, row]) => {
    const stated = Object.entries(row).map(([algorithm, weight]) => `${algorithm}: ${weight}`)
    return `  ${name}: {${stated.join(', ')}}`
  })
  return ['weights:', ...rows]
}
