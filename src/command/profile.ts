import { type Command, InvalidArgumentError } from 'commander'
import { createPastProfiles, isProblem, type PastProfiles } from '../api/past-profile.ts'
import { parsePastTime } from '../api/past-routes.ts'
import { createProfileAnswers, parseProfileId } from '../api/profile-answer.ts'
import { systemClock } from '../lib/clock.ts'
import type { Json } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import { createFreshness, createFreshnessBuffer } from '../process/freshness.ts'
import { decodeJson, encodeJson } from '../process/meta.ts'
import { withDataReader } from './data-reader.ts'
import {
  addDataFlags,
  createOutput,
  type OutputFlags,
  readId,
  readWhole,
  refuseUse,
  showText,
} from './output.ts'

interface GetFlags extends OutputFlags {
  readonly at?: number
}

interface ChangesFlags extends OutputFlags {
  readonly since?: number
  readonly count: number
}

const changeCountMax = 100
const okStatus = 200

export function addProfileCommand(program: Command, exit: (code: number) => void): void {
  const profile = program.command('profile').description('what is known of one person')
  addChanges(profile, exit)
  const command = profile
    .command('get')
    .description('show a profile as the API does')
    .argument('<id>', 'user:ID, anonymous:ID, or a bare user id', readId)
    .option('--at <time>', 'as it was then: a day, or a time with its zone', readPastTime)
    .addHelpText('after', help)
  addDataFlags(command).action(async (id: string, flags: GetFlags) => {
    const output = createOutput(flags)
    const { at } = flags
    if (at !== undefined) return await showPast(id, flags, (past, key) => past.at(key, at), exit)
    const answer = await withDataReader(flags, async ({ place }) => {
      // Only the owner knows how fresh the state is; read from its files the age is unknown.
      const freshness = createFreshness(createFreshnessBuffer(place.partitionCount))
      const answers = createProfileAnswers({ place, clock: systemClock, freshness }, 0)
      return await answers(id, undefined)
    })
    const value = decodeJson(Buffer.from(answer.body))
    if (answer.status !== okStatus) {
      exit(1)
      output.progress(`attune: nothing is known of ${parseProfileId(id) ?? showText(id)}`)
      return
    }
    exit(0)
    if (output.isJson) await output.json(value)
    else await output.table(rowsOf(value, ''))
  })
}

function addChanges(profile: Command, exit: (code: number) => void): void {
  const command = profile
    .command('changes')
    .description('show what made the versions of a profile, and what each changed')
    .argument('<id>', 'user:ID, anonymous:ID, or a bare user id', readId)
    .option('--since <version>', 'only later versions; the oldest kept', readWhole(0))
    .option('-n, --count <count>', 'at most so many', readWhole(1, changeCountMax), changeCountMax)
  addDataFlags(command).action(async (id: string, flags: ChangesFlags) => {
    const { since, count } = flags
    await showPast(id, flags, (past, key) => past.changes(key, since, count), exit)
  })
}

/** Shows what `find` tells of the past; exit code 1 where it cannot be told. */
async function showPast(
  id: string,
  flags: OutputFlags,
  find: (past: PastProfiles, key: string) => ReturnType<PastProfiles['at']>,
  exit: (code: number) => void,
): Promise<void> {
  const output = createOutput(flags)
  const key = parseProfileId(id) ?? refuseUse('an id has at most 300 characters')
  const found = await withDataReader(flags, (data) => find(createPastProfiles(data), key))
  if (isProblem(found)) {
    exit(1)
    output.progress(`attune: ${found.detail}`)
    return
  }
  exit(0)
  // What is shown was made for JSON: undefined values are none.
  const value = decodeJson(encodeJson(found))
  if (output.isJson) await output.json(value)
  else await output.table(rowsOf(value, ''))
}

function readPastTime(text: string): number {
  const atMs = parsePastTime(text, systemClock.nowMs())
  if (atMs !== undefined) return atMs
  throw new InvalidArgumentError('Give a day or a time with its zone: 2026-11-01T10:00:00Z.')
}

/** Returns a row per value, with its path. */
function rowsOf(value: Json, path: string): readonly (readonly string[])[] {
  if (Array.isArray(value)) {
    const items: readonly Json[] = value
    return items.flatMap((item, index) => rowsOf(item, `${path}.${index}`))
  }
  if (!isJsonObject(value)) return [[path, showText(String(value))]]
  return Object.entries(value).flatMap(([name, each]) =>
    rowsOf(each, path === '' ? name : `${path}.${name}`),
  )
}

const help = `
Example:
  attune profile get user:ada --json --data-dir data
  attune profile get user:ada --at 2026-11-01T10:00:00Z --data-dir data
  attune profile changes user:ada --since 40 --data-dir data

An anonymous id leads to the user who claimed it. Works while the server runs.`
