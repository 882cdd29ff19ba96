/** `attune segment`: which segments are in force, why somebody is in one, how many a rule takes. */

import { type Command, InvalidArgumentError } from 'commander'
import { createDefinitionsInForce } from '../api/definitions-in-force.ts'
import {
  type Preview,
  previewSegment,
  sampleCountDefault,
  sampleCountMax,
} from '../api/preview-segment.ts'
import { parseProfileId } from '../api/profile-answer.ts'
import {
  explainSegment,
  findSegment,
  listSegments,
  type SegmentDeps,
  type SegmentExplanation,
  type ShownSegment,
} from '../api/segment-answer.ts'
import { systemClock } from '../lib/clock.ts'
import { isJsonObject } from '../lib/json.ts'
import type { RuleExplanation } from '../segment/explain.ts'
import { isListName } from '../segment/parse-rule.ts'
import { type DataFlags, withDataReader } from './data-reader.ts'
import { type UploadFlags, uploadList } from './open-list-writer.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  readId,
  readWhole,
  refuseUse,
  showText,
  showTime,
} from './output.ts'
import { readYamlFile } from './read-yaml.ts'

type Exit = (code: number) => void

export function addSegmentCommand(program: Command, exit: Exit): void {
  const segment = program
    .command('segment')
    .description('segments: list, show, explain, preview, and upload lists of people')
    .addHelpText('after', help)
  addList(segment, exit)
  addShow(segment, exit)
  addExplain(segment, exit)
  addPreview(segment, exit)
  addUpload(segment, exit)
}

function addList(segment: Command, exit: Exit): void {
  const command = segment
    .command('list')
    .description('list those in force, and how far new ones are')
  addDataFlags(command).action(async (flags: OutputFlags) => {
    const output = createOutput(flags)
    const { segments, progress } = await withSegments(flags, listSegments)
    exit(0)
    if (output.isJson) for (const one of segments) await output.json(one)
    else await output.table(segments.map((one) => rowOf(one, output)))
    if (segments.length === 0) output.progress('No segment is in force.')
    if (progress === undefined) return
    const { doneCount, peopleCount, partitionsPending, partitionCount } = progress
    output.progress(
      `${doneCount} of ${peopleCount} people are evaluated by new rules; ` +
        `${partitionsPending} of ${partitionCount} partitions are not done.`,
    )
  })
}

function addShow(segment: Command, exit: Exit): void {
  const command = segment
    .command('show')
    .description('show one with its rule, what it names and who names it')
    .argument('<name>', 'as in the list', readId)
  addDataFlags(command).action(async (name: string, flags: OutputFlags) => {
    const output = createOutput(flags)
    const found = await withSegments(flags, (deps) => findSegment(deps, name))
    exit(found === undefined ? 1 : 0)
    if (found === undefined) output.progress(`attune: no segment ${showText(name)} is in force`)
    else if (output.isJson) await output.json(found)
    else {
      await output.table([rowOf(found, output)])
      for (const [kind, names] of Object.entries(found.names)) {
        if (names.length > 0) await output.line(`${kind}: ${names.map(showText).join(', ')}`)
      }
      if (found.namedBy.length > 0) await output.line(`named by: ${found.namedBy.join(', ')}`)
      for (const line of JSON.stringify(found.rule, null, 2).split('\n')) {
        await output.line(showText(line))
      }
    }
  })
}

function addExplain(segment: Command, exit: Exit): void {
  const command = segment
    .command('explain')
    .description('tell why a person is in a segment or not, by what each condition saw')
    .argument('<name>', 'as in the list', readId)
    .argument('<person>', 'user:ID, anonymous:ID, or a bare user id', readId)
  addDataFlags(command).action(async (name: string, id: string, flags: OutputFlags) => {
    const output = createOutput(flags)
    const key = parseProfileId(id) ?? refuseUse(`${showText(id)} is no id of a person`)
    const answer = await withSegments(flags, (deps) => explainSegment(deps, name, key))
    exit(typeof answer === 'string' ? 1 : 0)
    if (answer === 'segment-unknown') {
      output.progress(`attune: no segment ${showText(name)} is in force`)
    } else if (answer === 'profile-unknown') {
      output.progress(`attune: nothing is known of ${showText(key)}`)
    } else if (output.isJson) await output.json(answer)
    else for (const line of explanationLines(answer, output)) await output.line(line)
  })
}

interface PreviewFlags extends OutputFlags {
  readonly sample: number
}

function addPreview(segment: Command, exit: Exit): void {
  const command = segment
    .command('preview')
    .description('tell how many people a rule would take, from a sample')
    .argument('<file>', 'a rule, YAML or JSON, as in a folder of definitions')
    .option(
      '--sample <count>',
      'people to look at, at least',
      readWhole(1, sampleCountMax),
      sampleCountDefault,
    )
  addDataFlags(command).action(async (file: string, flags: PreviewFlags) => {
    const output = createOutput(flags)
    const rule = await readRuleFile(file)
    const answer = await withSegments(flags, (deps) => previewSegment(deps, rule, flags.sample))
    exit(answer.kind === 'preview' ? 0 : 1)
    if (output.isJson) await output.json(answer.kind === 'preview' ? answer.preview : answer)
    else if (answer.kind === 'preview') {
      for (const line of linesOfPreview(answer.preview)) await output.line(line)
    } else {
      for (const { path, says } of answer.faults) {
        output.progress(showText(`${file} ${path}: ${says}`))
      }
    }
  })
}

function addUpload(segment: Command, exit: Exit): void {
  const command = segment
    .command('upload')
    .description('replace a list of people, which rules name as { list: NAME }')
    .argument('<name>', 'a-z, 0-9 and -', readListName)
    .argument('<file>', 'CSV with a column user_id, anonymous_id or key')
    .option('--url <url>', 'address of a running server, instead of the data directory')
    .option('--key-file <file>', 'file with an API key of scope write for --url')
  addDataFlags(command).action(
    async (name: string, file: string, flags: OutputFlags & UploadFlags) => {
      const output = createOutput(flags)
      const { keyCount } = await uploadList(flags, name, file)
      exit(0)
      if (output.isJson) await output.json({ name, keyCount })
      else await output.line(`The list ${name} has ${keyCount} keys now.`)
    },
  )
}

async function withSegments<Result>(
  flags: DataFlags,
  work: (deps: SegmentDeps) => Promise<Result>,
): Promise<Result> {
  return await withDataReader(flags, ({ place, blobs }) => {
    const inForce = createDefinitionsInForce(place, blobs)
    return work({ place, blobs, clock: systemClock, inForce })
  })
}

function rowOf(
  { name, state, memberCount, progress, description, eventsFrom }: ShownSegment,
  output: Output,
): readonly string[] {
  const isPending = state === 'pending'
  const done =
    progress === undefined ? '' : `${progress.doneCount} of ${progress.peopleCount} evaluated`
  return [
    output.paint('bold', showText(name)),
    output.paint(isPending ? 'yellow' : 'green', state),
    `${memberCount} members`,
    isPending ? done : (wordsOfMissing(eventsFrom) ?? showText(description ?? '')),
  ]
}

/** Says what a rule may miss; undefined where that is nothing. */
function wordsOfMissing(eventsFrom: string | undefined): string | undefined {
  if (eventsFrom === undefined) return undefined
  return `sees events from ${eventsFrom} on: the log had been trimmed of those before`
}

/** Returns what is printed of why somebody is in a segment or not. */
export function explanationLines(
  answer: SegmentExplanation,
  output: Pick<Output, 'paint'>,
): readonly string[] {
  const { person, segment, isMember, since, isPending, at } = answer
  const place = isMember ? `in ${segment} since ${since}` : `not in ${segment}`
  const lines = [output.paint('bold', showText(`${person} is ${place}`))]
  if (isPending)
    lines.push('The rule is pending: it has not reached everybody, and triggers nothing.')
  const missing = wordsOfMissing(answer.eventsFrom)
  if (missing !== undefined) lines.push(`The rule ${missing}.`)
  lines.push(`Judged at ${at}:`)
  const tell = (rule: RuleExplanation, level: number): void => {
    const mark = rule.isMet ? output.paint('green', 'yes') : output.paint('red', 'no ')
    const saw = rule.saw === undefined ? '' : `, saw ${JSON.stringify(rule.saw)}`
    const turn = rule.changesAtMs === undefined ? '' : ` (until ${showTime(rule.changesAtMs)})`
    lines.push(`${'  '.repeat(level)}${mark} ${showText(rule.says + saw)}${turn}`)
    for (const part of rule.of ?? []) tell(part, level + 1)
  }
  tell(answer.rule, 0)
  return lines
}

function linesOfPreview(preview: Preview): readonly string[] {
  const { isExact, count, countLow, countHigh, peopleCount, sampleCount, examples } = preview
  const counted = isExact
    ? `${count} of ${peopleCount} people, all looked at.`
    : `About ${count} of ${peopleCount} people: ${countLow} to ${countHigh} with 95 percent, ` +
      `from a sample of ${sampleCount}.`
  const kept = preview.propertiesNotKept.map(
    (name) => `${name} is named by no rule in force: nobody has it before the rule is applied.`,
  )
  const some = examples.length === 0 ? [] : [`For example ${examples.join(', ')}.`]
  const missing = wordsOfMissing(preview.eventsFrom)
  const lines = [counted, ...some, ...kept, ...(missing === undefined ? [] : [`It ${missing}.`])]
  return lines.map(showText)
}

/** Takes a rule, or a file of a folder of definitions that wraps one. */
async function readRuleFile(path: string): Promise<unknown> {
  const content = await readYamlFile(path)
  return isJsonObject(content) && content['rule'] !== undefined ? content['rule'] : content
}

function readListName(text: string): string {
  if (isListName(text)) return text
  throw new InvalidArgumentError('A list has a name of a-z, 0-9 and -, at most 64 characters.')
}

const help = `
Example:
  attune segment list --data-dir data
  attune segment explain loyal-customers user:ada --data-dir data
  attune segment preview new-rule.yaml --data-dir data
  attune segment upload vip vip.csv --url http://127.0.0.1:8080 --key-file key

Reading works while the server runs; an upload then goes over its API.`
