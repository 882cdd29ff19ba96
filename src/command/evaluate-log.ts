/**
 * `attune evaluate` on the company's own log: how the algorithms would have done on the newest
 * days. Reads the state alone, beside a running server too.
 */

import { basename } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import type { Json } from '../lib/json.ts'
import { algorithmNames } from '../recommend/algorithm-names.ts'
import { type BlendWeights, defaultWeights, onlyWeights } from '../recommend/blend-weights.ts'
import {
  PeopleEvaluator,
  type PeopleRow,
  type PeopleSplit,
} from '../recommend/evaluate/evaluate-people.ts'
import type { EvaluatedName } from '../recommend/evaluate/evaluate-sessions.ts'
import { statedWeights } from '../recommend/parse-weights.ts'
import type { InteractionKind } from '../recommend/recommender.ts'
import { parseRules } from '../recommend/recommender-rules.ts'
import { type DataReader, withStores } from './data-reader.ts'
import { createOutput, type Output, type OutputFlags, refuseUse, showTime } from './output.ts'
import { type ReadActivity, readActivity } from './read-activity.ts'
import { readServerConfig } from './read-config.ts'
import { readYamlFile } from './read-yaml.ts'
import {
  createProgress,
  roundFigures,
  showFigures,
  showWeights,
  writeWeights,
} from './show-evaluation.ts'
import { storeOptionsOf } from './store-options.ts'

export interface LogFlags extends OutputFlags {
  readonly algorithm: readonly EvaluatedName[]
  readonly days?: number
  readonly updated?: boolean
  readonly excludeCurrent?: boolean
  readonly new?: boolean
  readonly of?: InteractionKind
  readonly fit?: string | true
  readonly weightsOf?: readonly string[]
  readonly predictions?: number
  readonly quiet?: boolean
}

const dayMs = 86_400_000
const predictionCountMax = 20_000
/** Fewer tell nothing. */
const learnedCountMin = 100
const predictionCountMin = 20
const fittedName = 'blend-fitted'

/** Answers the exit code. */
export async function evaluateLog(flags: LogFlags): Promise<number> {
  const output = createOutput(flags)
  const rows = await rowsOf(flags)
  const values = await readServerConfig(flags.config, { 'server.dataDir': flags.dataDir })
  const tell = createProgress(output, 'interactions', flags.quiet === true)
  const tellPeople = createProgress(output, 'profiles', flags.quiet === true)
  const { read, lagCount } = await withStores(storeOptionsOf(values), async (data) => {
    const lagCount = await countLag(data)
    const read = await readActivity(data.place, (step, ...counts) =>
      step === 'people' ? tellPeople(step, ...counts) : tell(step, ...counts),
    )
    return { read, lagCount }
  })
  tellRead(read, output)
  if (lagCount > 0) {
    output.progress(
      `The state is ${lagCount} records behind the log, which are not seen here; a server that ` +
        'runs folds them',
    )
  }
  const newestMs = read.activity.atMsAt(read.activity.count - 1)
  const evaluator = new PeopleEvaluator(
    { monotonicMs: () => systemClock.monotonicMs(), progress: tell },
    read.activity,
    {
      ...(flags.days === undefined ? {} : { testFromMs: newestMs - flags.days * dayMs }),
      isUpdated: flags.updated === true,
      isCurrentExcluded: flags.excludeCurrent === true,
      isNewOnly: flags.new === true,
      ...(flags.of === undefined ? {} : { only: flags.of }),
      isFitted: flags.fit !== undefined,
      predictionCountMax: flags.predictions ?? predictionCountMax,
      blend: { eventCountMax: values['recommend.eventCountMax'] },
      contents: read.contents,
      unasked: read.robots.people,
    },
  )
  const says = judge(read, evaluator.split, flags)
  if (says !== undefined) {
    output.progress(`attune: ${says}`)
    return 1
  }
  const testFromMs = read.activity.atMsAt(evaluator.split.testFrom)
  tellSplit(evaluator.split, testFromMs, { read, output, flags })
  const evaluations = evaluator.evaluate(rows).map(roundFigures)
  if (output.isJson) {
    const how = howOf(flags, evaluator.split, testFromMs)
    for (const { weights, ...figures } of evaluations) {
      const stated = figures.algorithm === fittedName ? { weights: statedWeights(weights) } : {}
      await output.json({ ...figures, ...stated, ...how })
    }
  } else await showFigures(output, evaluations)
  const fitted = evaluations.find(({ algorithm }) => algorithm === fittedName)?.weights
  if (fitted === undefined) return 0
  if (fitted === defaultWeights) output.progress('There was nothing to fit on: the shipped weights')
  if (!output.isJson) await showWeights(output, fitted)
  if (typeof flags.fit === 'string') await writeWeights(flags.fit, fitted)
  return 0
}

/** Returns how many records the state has not folded, where offsets have no gaps. */
async function countLag({ log, state }: DataReader): Promise<number> {
  let lagCount = 0
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const { offset } = await state.head(partition)
    lagCount += Math.max(0, (await log.end(partition)) - offset)
  }
  return lagCount
}

async function rowsOf(flags: LogFlags): Promise<readonly PeopleRow[]> {
  const names: readonly EvaluatedName[] =
    flags.algorithm.length === 0 ? ['blend', ...algorithmNames] : flags.algorithm
  const rows: PeopleRow[] = [...new Set(names)].map((algorithm) => {
    return {
      algorithm,
      weights: algorithm === 'blend' ? defaultWeights : onlyWeights(algorithm),
    }
  })
  for (const path of flags.weightsOf ?? []) {
    rows.push({
      algorithm: basename(path).replace(/\.ya?ml$/, ''),
      weights: await readWeights(path),
    })
  }
  return flags.fit === undefined ? rows : [{ algorithm: fittedName }, ...rows]
}

/** Reads the weights of a recommender's definition. */
async function readWeights(path: string): Promise<BlendWeights> {
  const name = basename(path).replace(/\.ya?ml$/, '')
  const parsed = parseRules((await readYamlFile(path)) as Json, name)
  if (parsed.kind === 'rules') {
    return parsed.rules.weights ?? refuseUse(`${path} has no weights; it takes the shipped ones`)
  }
  return refuseUse(parsed.faults.map((each) => `${path} ${each.path}: ${each.says}`).join('\n'))
}

/** Returns why there is nothing to tell. */
function judge(
  { activity }: ReadActivity,
  { testFrom, predictableCount }: PeopleSplit,
  { days }: LogFlags,
): string | undefined {
  if (activity.count === 0) {
    return 'nobody has looked at, put into a cart or bought anything, as far as the log is folded'
  }
  if (testFrom >= learnedCountMin && predictableCount >= predictionCountMin) return undefined
  const found =
    `${activity.count} interactions, ${testFrom} of them before ` +
    `${showTime(activity.atMsAt(testFrom))}, and ${predictableCount} after it of people who have ` +
    'a past'
  const needed = `at least ${learnedCountMin} to learn from and ${predictionCountMin} to predict`
  const isLong = days !== undefined && testFrom < learnedCountMin
  return `too little to tell: ${found}; ${needed} are needed${isLong ? '; give fewer --days' : ''}`
}

function tellRead(
  { activity, itemCount, deviceCount, robots, wholeFromMs }: ReadActivity,
  output: Output,
): void {
  output.progress(
    `${activity.count} interactions of ${activity.countPeople()} people, ${deviceCount} devices ` +
      `joined to them, ${itemCount} items in the catalog`,
  )
  if (robots.people.size > 0) {
    output.progress(
      `${robots.people.size} people did too much within an hour, perhaps robots: not predicted, ` +
        `and ${robots.ignoredCount} interactions left out`,
    )
  }
  if (activity.droppedCount > 0) {
    output.progress(`There is more than fits: the oldest ${activity.droppedCount} are left out`)
  }
  if (wholeFromMs !== undefined) {
    output.progress(`Of what lies before ${showTime(wholeFromMs)} only a part is kept`)
  }
}

function tellSplit(
  { fitFrom, testFrom, count, predictableCount }: PeopleSplit,
  testFromMs: number,
  given: { readonly read: ReadActivity; readonly output: Output; readonly flags: LogFlags },
): void {
  const { read, output, flags } = given
  const { activity } = read
  const learned = `learned: ${testFrom} since ${showTime(activity.atMsAt(0))}`
  const fitted =
    flags.fit === undefined ? '' : `, fitted on those since ${showTime(activity.atMsAt(fitFrom))}`
  output.progress(
    `${learned}${fitted}; to predict: ${count - testFrom} since ${showTime(testFromMs)}`,
  )
  const max = flags.predictions ?? predictionCountMax
  if (predictableCount > max) {
    output.progress(`About ${max} of ${predictableCount} are predicted, of some of the people`)
  }
}

function howOf(flags: LogFlags, { testFrom, count }: PeopleSplit, testFromMs: number) {
  return {
    isUpdated: flags.updated === true,
    isCurrentExcluded: flags.excludeCurrent === true,
    isNewOnly: flags.new === true,
    ...(flags.of === undefined ? {} : { only: flags.of }),
    learnedCount: testFrom,
    testCount: count - testFrom,
    testFromMs,
  }
}
