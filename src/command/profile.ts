import type { Command } from 'commander'
import { createProfileAnswers, parseProfileId } from '../api/profile-answer.ts'
import { systemClock } from '../lib/clock.ts'
import type { Json } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import { createFreshness } from '../process/freshness.ts'
import { decodeJson } from '../process/meta.ts'
import { withDataReader } from './data-reader.ts'
import { addDataFlags, createOutput, type OutputFlags, readId, showText } from './output.ts'

const bytesPerPartition = 8
const okStatus = 200

export function addProfileCommand(program: Command, exit: (code: number) => void): void {
  const profile = program.command('profile').description('what is known of one person')
  const command = profile
    .command('get')
    .description('show a profile as the API does')
    .argument('<id>', 'user:ID, anonymous:ID, or a bare user id', readId)
    .addHelpText('after', help)
  addDataFlags(command).action(async (id: string, flags: OutputFlags) => {
    const output = createOutput(flags)
    const answer = await withDataReader(flags, async ({ place }) => {
      // Only the owner knows how fresh the state is; read from its files the age is unknown.
      const shared = new SharedArrayBuffer(bytesPerPartition * place.partitionCount)
      const freshness = createFreshness(shared)
      const answers = createProfileAnswers({ place, clock: systemClock, freshness })
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

An anonymous id leads to the user who claimed it. Works while the server runs.`
