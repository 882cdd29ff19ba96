/**
 * `attune schemas infer`: proposes a JSON Schema for each event from the newest events in the log.
 *
 * Order: read a bounded sample, propose, ask each proposal about every event of the sample (a
 * tracking plan decides, not the proposal), then print or write. A running server is not disturbed.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Event } from '../event/event.ts'
import { createSchemaInference } from '../event/infer-schema.ts'
import { aliasesOf } from '../event/normal-form.ts'
import { findSchemaFault } from '../event/schema-limits.ts'
import { createTrackingPlan } from '../event/tracking-plan.ts'
import { systemClock } from '../lib/clock.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import { decodeJson } from '../process/meta.ts'
import { withDataReader } from './data-reader.ts'
import { partitionsOf } from './event-lines.ts'
import {
  addDataFlags,
  assertEmptyFolder,
  createOutput,
  type Output,
  type OutputFlags,
  readWhole,
  showText,
} from './output.ts'

interface InferFlags extends OutputFlags {
  readonly event?: string
  readonly count: number
  readonly out?: string
}

interface Proposal {
  readonly event: string
  readonly count: number
  /** Events of the sample that the schema would refuse. */
  readonly refused: number
  readonly file: string
  readonly schema: JsonObject
}

const countDefault = 20_000
const countMax = 1_000_000
/** Names with a schema of their own; others of a sample are told, and left out. */
const nameCountMax = 200
const pageCount = 500
/** Events of one name that are kept to be asked about. */
const keptPerNameMax = 2_000

export function addSchemasCommand(program: Command, exit: (code: number) => void): void {
  const schemas = program.command('schemas').description('schemas of events: infer')
  const command = schemas
    .command('infer')
    .description('propose a JSON Schema for each event from events in the log')
    .option('--event <name>', 'only this event')
    .option('-n, --count <count>', 'newest records looked at', readWhole(1, countMax), countDefault)
    .option('--out <dir>', 'write schemas/*.json and tracking-plan.yaml into a new folder')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: InferFlags) => {
    const output = createOutput(flags)
    if (flags.out !== undefined) await assertEmptyFolder(flags.out)
    const byName = await withDataReader(flags, ({ log }) => readSample(log, flags, output))
    const files = filesOf([...byName.keys()])
    const proposals = [...byName].map(([name, events], index): Proposal => {
      return { event: name, ...propose(name, events), file: files[index] ?? '' }
    })
    exit(proposals.length === 0 ? 1 : 0)
    if (proposals.length === 0) output.progress('attune: the log has no such event')
    if (flags.out !== undefined) await writeAll(flags.out, proposals)
    for (const proposal of proposals) await show(output, proposal, flags)
  })
}

/** Returns the newest events by name, the most frequent name first. */
async function readSample(
  log: EventLog,
  flags: InferFlags,
  output: Output,
): Promise<ReadonlyMap<string, readonly Event[]>> {
  const byName = new Map<string, Event[]>()
  const partitions = partitionsOf(log)
  const share = Math.ceil(flags.count / partitions.length)
  let seen = 0
  let leftOut = 0
  for (const partition of partitions) {
    const end = await log.end(partition)
    const stop = Math.max((await log.start(partition)) - 1, end - share, 0)
    for (let after = stop; after < end; ) {
      const place = { partition, after }
      const page = await readKnown(
        { log, clock: systemClock },
        place,
        Math.min(pageCount, end - after),
      )
      for (const record of page) {
        if (record.kind !== 'event' || record.keyId !== 0) continue
        const event = decodeJson<Event>(record.body)
        if (flags.event !== undefined && flags.event !== event.name) continue
        if (keep(byName, event)) seen++
        else leftOut++
      }
      after = page.at(-1)?.offset ?? end
    }
    output.progress(`partition ${partition + 1} of ${partitions.length}: ${seen} events`)
  }
  if (leftOut > 0) output.progress(`${leftOut} events more than the bounds of a sample take`)
  return new Map([...byName].sort(([, left], [, right]) => right.length - left.length))
}

function keep(byName: Map<string, Event[]>, event: Event): boolean {
  const known = byName.get(event.name)
  if (known === undefined && byName.size >= nameCountMax) return false
  const events = known ?? []
  if (events.length >= keptPerNameMax) return false
  events.push(event)
  byName.set(event.name, events)
  return true
}

function propose(name: string, events: readonly Event[]): Omit<Proposal, 'event' | 'file'> {
  const isAboutPerson = events.some(({ type }) => type === 'identify' || type === 'group')
  const inference = createSchemaInference({ hasEnums: !isAboutPerson, ignored: aliasesOf(name) })
  for (const event of events) inference.add(event.properties ?? event.traits ?? {})
  const whole = inference.propose(name)
  // A schema with very many names has no room for what is said about each.
  const bare = findSchemaFault(whole) === undefined ? whole : withoutComments(whole)
  const schema = isJsonObject(bare) ? bare : whole
  const ref = { kind: 'inline', schema } as const
  const created = createTrackingPlan({ mode: 'strict', events: { [name]: { schema: ref } } })
  const refused =
    created.kind === 'refused'
      ? events.length
      : events.filter((event) => created.plan.validate(event) !== undefined).length
  return { count: events.length, refused, schema }
}

function withoutComments(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(withoutComments)
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).filter(
    ([name, each]) => name !== '$comment' || typeof each !== 'string',
  )
  return Object.fromEntries(entries.map(([name, each]) => [name, withoutComments(each)]))
}

/** Returns a path for each event; names that differ only in signs get a number. */
function filesOf(names: readonly string[]): readonly string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    const plain = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
    const base = plain.replaceAll(/^-|-$/g, '').slice(0, 100) || 'event'
    let file = `schemas/${base}.json`
    for (let number = 2; taken.has(file); number++) file = `schemas/${base}-${number}.json`
    taken.add(file)
    return file
  })
}

async function writeAll(folder: string, proposals: readonly Proposal[]): Promise<void> {
  await mkdir(join(folder, 'schemas'), { recursive: true })
  const lines = ['trackingPlan:', '  mode: lenient', '  events:']
  for (const { event, file, schema } of proposals) {
    await writeFile(join(folder, file), `${JSON.stringify(schema, undefined, 2)}\n`)
    lines.push(`    ${JSON.stringify(event)}: {schema: ${file}}`)
  }
  await writeFile(join(folder, 'tracking-plan.yaml'), `${lines.join('\n')}\n`)
}

async function show(output: Output, proposal: Proposal, flags: InferFlags): Promise<void> {
  if (output.isJson) return await output.json(proposal)
  const { event, count, refused, file, schema } = proposal
  const from = `from ${count} events, of which it would refuse ${refused}`
  const where = flags.out === undefined ? '' : `  ${join(flags.out, file)}`
  const head = `${output.paint('bold', showText(event))}  ${output.paint('dim', from)}${where}`
  await output.line(head)
  if (flags.out === undefined) await output.line(JSON.stringify(schema, undefined, 2))
}

const help = `
Examples:
  attune schemas infer --data-dir data --event "Order Completed"
  attune schemas infer --data-dir data --out plan

Looks at the newest records of each partition. Of --out, copy schemas/ into the folder of
definitions and the lines of tracking-plan.yaml into a source, then check with \`attune validate\`.

Required is what every event has, if ten were seen; an enum is proposed where a text has at most ten
values, never for traits of people. A range ends a power of ten above the greatest number seen, a
length at twice the longest text. What was seen stands in each $comment.`
