/**
 * `attune evaluate`: how well, and how fast, each recommendation algorithm tells what people go on
 * with: on the company's own log, or on a folder of sessions, of which files alone are read.
 */

import { createReadStream, existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { type Command, InvalidArgumentError } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { type AlgorithmName, algorithmNames } from '../recommend/algorithm-names.ts'
import { isAlgorithmName } from '../recommend/blend-weights.ts'
import {
  type EvaluatedName,
  type Evaluation,
  SessionEvaluator,
} from '../recommend/evaluate/evaluate-sessions.ts'
import {
  type ParsedSessions,
  SessionParser,
  sessionItemCountMax,
} from '../recommend/evaluate/parse-sessions.ts'
import { statedWeights } from '../recommend/parse-weights.ts'
import { interactionKinds } from '../recommend/recommender.ts'
import { evaluateLog, type LogFlags } from './evaluate-log.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  readChoice,
  readWhole,
  refuseUse,
  showText,
} from './output.ts'
import {
  createProgress,
  roundFigures,
  showFigures,
  showWeights,
  writeWeights,
} from './show-evaluation.ts'

interface EvaluateFlags extends LogFlags {
  /** Absent: the own log. */
  readonly sessions?: string
  readonly weights?: 'fitted' | 'shipped'
}

/** Those that views alone can feed; the others are evaluated where they are named. */
const namesByDefault: readonly EvaluatedName[] = [
  'blend',
  ...algorithmNames.filter(
    (name) => !['bought-together', 'repeat-purchase', 'similar-content'].includes(name),
  ),
]
const daysDefault = 30
const daysMax = 3_650
const predictionsMax = 10_000_000

export function addEvaluateCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('evaluate')
    .description('score the recommendation algorithms on the own log, or on sessions')
    .option('--sessions <dir>', 'instead of the own log: folder with train.txt and test.txt')
    .option(
      '--days <days>',
      'the newest days are predicted, what lies before is learned; the last fifth of all',
      readWhole(1, daysMax),
    )
    .option('--algorithm <name...>', 'only these: blend, or one of its algorithms', readName, [])
    .option('--weights-of <file...>', 'also the blend with the weights of recommenders/NAME.yaml')
    .option('--fit [file]', 'fit the weights of the blend, show them, and write a definition')
    .option('--updated', 'learn what was predicted, each after it was scored')
    .option('--exclude-current', 'never answer the item that the person is at')
    .option('--new', 'predict and answer only items that the person had not met')
    .option(
      '--of <kind>',
      `predict only interactions of this kind: ${interactionKinds.join(', ')}`,
      readChoice(interactionKinds),
    )
    .option(
      '--predictions <count>',
      'about so many, of some of the people; 20000',
      readWhole(1, predictionsMax),
    )
    .option(
      '--weights <which>',
      'of the blend on sessions: fitted (on the last tenth of train) or shipped',
      readChoice(['fitted', 'shipped'] as const),
    )
    .option('--quiet', 'tell no progress')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: EvaluateFlags) => {
    if (typeof flags.fit === 'string' && existsSync(flags.fit)) {
      refuseUse(`${flags.fit} is there already; give another name`)
    }
    if (flags.sessions === undefined) {
      if (flags.weights !== undefined) refuseUse('--weights is of --sessions; give --fit')
      exit(await evaluateLog(flags))
      return
    }
    if (flags.new || flags.of || flags.predictions || flags.weightsOf) {
      refuseUse('--new, --of, --predictions and --weights-of are of the own log, not of --sessions')
    }
    await evaluateSessions(flags, flags.sessions)
    exit(0)
  })
}

async function evaluateSessions(flags: EvaluateFlags, folder: string): Promise<void> {
  const output = createOutput(flags)
  if (flags.fit !== undefined && flags.weights === 'shipped') {
    refuseUse('--fit fits the weights, and --weights shipped does not')
  }
  const train = await readSessions(folder, 'train', output)
  const test = await readSessions(folder, 'test', output)
  if (train.sessions.length === 0) refuseUse(`${folder}: train has no session`)
  const evaluator = new SessionEvaluator(
    {
      monotonicMs: () => systemClock.monotonicMs(),
      progress: createProgress(output, 'sessions', flags.quiet === true),
    },
    { train: train.sessions, test: test.sessions },
    {
      daysCovered: flags.days ?? daysDefault,
      isUpdated: flags.updated === true,
      isCurrentExcluded: flags.excludeCurrent === true,
      isFitted: flags.weights !== 'shipped',
      blend: {},
    },
  )
  const names = new Set(flags.algorithm.length === 0 ? namesByDefault : flags.algorithm)
  if (flags.fit !== undefined) names.add('blend')
  const evaluations: Evaluation[] = []
  for (const name of names) {
    const evaluation = roundFigures(evaluator.evaluate(name))
    evaluations.push(evaluation)
    if (output.isJson) await output.json({ ...shownOf(evaluation), ...howOf(flags) })
  }
  if (!output.isJson) await showFigures(output, evaluations)
  const weights = evaluations.find((each) => each.weights !== undefined)?.weights
  if (weights === undefined) return
  if (!output.isJson) await showWeights(output, weights)
  if (typeof flags.fit === 'string') await writeWeights(flags.fit, weights)
}

function shownOf({ weights, ...figures }: Evaluation) {
  return weights === undefined ? figures : { ...figures, weights: statedWeights(weights) }
}

/** Collects a repeated option; several may follow one flag. */
function readName(text: string, before: readonly EvaluatedName[]): readonly EvaluatedName[] {
  if (text === 'blend' || isAlgorithmName(text)) return [...before, text]
  const known: readonly (AlgorithmName | 'blend')[] = ['blend', ...algorithmNames]
  throw new InvalidArgumentError(`It must be one of ${known.join(', ')}.`)
}

async function readSessions(
  folder: string,
  name: 'train' | 'test',
  output: Output,
): Promise<ParsedSessions> {
  const path = await findFile(folder, name)
  const parser = new SessionParser()
  const file = createReadStream(path)
  const stream = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  // A pipe hands no error on.
  file.on('error', (error) => stream.destroy(error))
  const decoder = new TextDecoder()
  try {
    for await (const chunk of stream) {
      parser.push(decoder.decode(chunk as Buffer, { stream: true }))
      if (parser.isFull) break
    }
  } catch (cause) {
    throw new OperatingError('STORE_IO', `read sessions from ${path}`, { cause })
  } finally {
    file.destroy()
  }
  const parsed = parser.end()
  tellOddities(parsed, path, output)
  return parsed
}

async function findFile(folder: string, name: string): Promise<string> {
  for (const ending of ['.txt', '.txt.gz']) {
    const path = join(folder, name + ending)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return refuseUse(`${showText(folder)} has no ${name}.txt and no ${name}.txt.gz`)
}

function tellOddities(parsed: ParsedSessions, path: string, output: Output): void {
  const { emptyLineCount, longSessionCount, longIdCount, isCut, eventCount } = parsed
  if (emptyLineCount > 0) output.progress(`${path}: ${emptyLineCount} empty lines passed over`)
  if (longSessionCount > 0) {
    output.progress(
      `${path}: ${longSessionCount} sessions of more than ${sessionItemCountMax} items, perhaps ` +
        'robots; the rest of each is left out',
    )
  }
  if (longIdCount > 0) output.progress(`${path}: ${longIdCount} ids too long, left out`)
  if (isCut) output.progress(`${path}: only the first ${eventCount} items are taken`)
}

function howOf(flags: EvaluateFlags) {
  return {
    isUpdated: flags.updated === true,
    isCurrentExcluded: flags.excludeCurrent === true,
  }
}

const help = `
On the own log: what people did is read from the state in the data directory, beside a running
server too. The newest days are predicted from what lies before; each interaction from the past of
its person, among all items. Weights are fitted on the last tenth of what lies before, so the
predicted days are never looked at.

  HR@20       share of the predictions whose item is among the first 20 answered
  MRR@20      mean of 1 / place of it
  recall      share of what the person went on to that is among the 20; NDCG the same, by place
  coverage    share of the items that were answered to anybody
  popularity  how popular the items answered are; 1 as the catalog on average
  diversity   near 0 where a few items are answered to everybody

Examples:
  attune evaluate --data-dir data --days 30
  attune evaluate --data-dir data --days 30 --updated --new --fit fitted.yaml
  attune evaluate --data-dir data --days 30 --algorithm blend --weights-of fitted.yaml --json
  attune evaluate --data-dir data --days 30 --updated --of purchase --new

With --sessions: a session is a line of item ids, oldest first, in train.txt and test.txt, or both
as .gz. For every prefix of every test session the next item is predicted; --days are those that
the sessions cover (${daysDefault}).

  attune evaluate --sessions data/diginetica --algorithm blend two-steps --updated --json`
