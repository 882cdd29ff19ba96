/**
 * `attune evaluate`: how well, and how fast, each recommendation algorithm tells what sessions go
 * on with. Reads files alone; no server and no data directory is touched.
 */

import { createReadStream } from 'node:fs'
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
import {
  createOutput,
  type Output,
  type OutputFlags,
  readChoice,
  readWhole,
  refuseUse,
  showText,
} from './output.ts'

interface EvaluateFlags extends OutputFlags {
  readonly sessions: string
  readonly algorithm: readonly EvaluatedName[]
  readonly updated?: boolean
  readonly excludeCurrent?: boolean
  readonly weights: 'fitted' | 'shipped'
  readonly days: number
  readonly quiet?: boolean
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
const progressMs = 2_000

export function addEvaluateCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('evaluate')
    .description('score the recommendation algorithms on sessions in time order')
    .requiredOption('--sessions <dir>', 'folder with train.txt and test.txt, or both as .gz')
    .option('--algorithm <name...>', 'only these: blend, or one of its algorithms', readName, [])
    .option('--updated', 'learn each test session after it was scored')
    .option('--exclude-current', 'never answer the item that the person is at')
    .option(
      '--weights <which>',
      'of the blend: fitted (on the last tenth of train) or shipped',
      readChoice(['fitted', 'shipped'] as const),
      'fitted',
    )
    .option('--days <days>', 'days that the sessions cover', readWhole(1, daysMax), daysDefault)
    .option('--json', 'print JSON, one value per line')
    .option('--quiet', 'tell no progress')
    .option('--no-color', 'print without colours')
    .addHelpText('after', help)
    .action(async (flags: EvaluateFlags) => {
      const output = createOutput(flags)
      const train = await readSessions(flags.sessions, 'train', output)
      const test = await readSessions(flags.sessions, 'test', output)
      if (train.sessions.length === 0) refuseUse(`${flags.sessions}: train has no session`)
      const evaluator = new SessionEvaluator(
        { monotonicMs: () => performance.now(), progress: createProgress(output, flags) },
        { train: train.sessions, test: test.sessions },
        {
          daysCovered: flags.days,
          isUpdated: flags.updated === true,
          isCurrentExcluded: flags.excludeCurrent === true,
          isFitted: flags.weights === 'fitted',
          blend: {},
        },
      )
      const names = flags.algorithm.length === 0 ? namesByDefault : new Set(flags.algorithm)
      const evaluations: Evaluation[] = []
      for (const name of names) {
        const evaluation = roundFigures(evaluator.evaluate(name))
        if (output.isJson) await output.json({ ...evaluation, ...howOf(flags) })
        else evaluations.push(evaluation)
      }
      if (!output.isJson) await showTable(output, evaluations)
      exit(0)
    })
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

/** Tells how far it is and how fast, every two seconds and at the beginning of a step. */
function createProgress(output: Output, flags: EvaluateFlags) {
  let step = ''
  let toldAtMs = 0
  let startedAtMs = 0
  let startedAt = 0
  return (name: string, doneCount: number, allCount: number): void => {
    if (flags.quiet === true) return
    const nowMs = systemClock.monotonicMs()
    if (name !== step) {
      step = name
      startedAtMs = nowMs
      startedAt = doneCount
    } else if (nowMs - toldAtMs < progressMs) return
    toldAtMs = nowMs
    const seconds = (nowMs - startedAtMs) / 1000
    const rate = seconds < 0.1 ? '' : `, ${Math.round((doneCount - startedAt) / seconds)}/s`
    output.progress(`${name}: ${doneCount} of ${allCount} sessions${rate}`)
  }
}

function roundFigures(evaluation: Evaluation): Evaluation {
  const rounded = Object.entries(evaluation).map(([name, value]) => {
    return [name, typeof value === 'number' ? Math.round(value * 1e6) / 1e6 : value] as const
  })
  return { ...evaluation, ...Object.fromEntries(rounded) }
}

function howOf(flags: EvaluateFlags) {
  return {
    isUpdated: flags.updated === true,
    isCurrentExcluded: flags.excludeCurrent === true,
  }
}

async function showTable(output: Output, evaluations: readonly Evaluation[]): Promise<void> {
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
  const weights = evaluations.find((each) => each.weights !== undefined)?.weights
  if (weights === undefined) return
  await output.line('')
  await output.line('Weights of the blend, for 1, 2, 3 to 4, and 5 or more own items:')
  for (const row of weights) await output.line(JSON.stringify(row))
}

const help = `
A session is a line of item ids, oldest first. For every prefix of every test session the next
item is predicted among all items; the current item may be answered again unless excluded.

Examples:
  attune evaluate --sessions data/diginetica
  attune evaluate --sessions data/diginetica --algorithm blend trending --updated --json`
