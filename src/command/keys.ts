/**
 * `attune keys`: the only command that writes while a server runs; it puts a whole new file in
 * place.
 */

import { type Command, InvalidArgumentError } from 'commander'
import {
  createApiKey,
  scopes as knownScopes,
  readApiKeys,
  revokeApiKeys,
  type Scope,
} from '../api/api-keys.ts'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { assertKeysDir } from './data-reader.ts'
import {
  addDataFlags,
  createOutput,
  type OutputFlags,
  readChoice,
  refuseUse,
  showTime,
} from './output.ts'

interface CreateFlags extends OutputFlags {
  readonly name: string
  readonly scope?: readonly Scope[]
}

const readScope = readChoice(knownScopes)
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export function addKeysCommand(program: Command, exit: (code: number) => void): void {
  const keys = program.command('keys').description('API keys: create, list, revoke')
  addCreate(keys, exit)
  addList(keys, exit)
  addRevoke(keys, exit)
}

function addCreate(keys: Command, exit: (code: number) => void): void {
  const command = keys
    .command('create')
    .description('make a key and print it, this once')
    .requiredOption('--name <name>', 'what the key is for', readName)
    .option(
      '--scope <scope>',
      `${knownScopes.join(', ')}; may be repeated or joined by commas (default read)`,
      readScopes,
    )
    .addHelpText('after', createHelp)
  addDataFlags(command).action(async (flags: CreateFlags) => {
    const output = createOutput(flags)
    const { dataDir, name, scope: scopes = ['read'] } = flags
    assertKeysDir(dataDir)
    const known = await readApiKeys(dataDir)
    if (known.some((key) => key.name === name)) refuseUse(`there is a key named ${name} already`)
    const deps = { clock: systemClock, random: systemRandom }
    const key = await createApiKey(dataDir, deps, { name, scopes })
    exit(0)
    if (output.isJson) await output.json({ name, scopes, key })
    else {
      await output.line(key)
      output.progress(`Key ${name} may ${scopes.join(', ')}. It is not shown again.`)
    }
  })
}

function addList(keys: Command, exit: (code: number) => void): void {
  const command = keys.command('list').description('list the keys, without their secrets')
  addDataFlags(command).action(async (flags: OutputFlags) => {
    const output = createOutput(flags)
    assertKeysDir(flags.dataDir)
    const known = await readApiKeys(flags.dataDir)
    exit(0)
    const rows = known.map(({ name, scopes, createdAtMs }) => ({
      name,
      scopes,
      createdAt: showTime(createdAtMs),
    }))
    if (output.isJson) {
      for (const row of rows) await output.json(row)
      return
    }
    await output.table(rows.map((row) => [row.name, row.scopes.join(','), row.createdAt]))
    if (rows.length === 0) output.progress('There are no keys; `attune keys create` makes one.')
  })
}

function addRevoke(keys: Command, exit: (code: number) => void): void {
  const command = keys
    .command('revoke')
    .description('take a key away')
    .argument('<name>', 'name of the key', readName)
  addDataFlags(command).action(async (name: string, flags: OutputFlags) => {
    const output = createOutput(flags)
    assertKeysDir(flags.dataDir)
    const known = await readApiKeys(flags.dataDir)
    const isThere = known.some((key) => key.name === name)
    const revoked = isThere ? await revokeApiKeys(flags.dataDir, name) : 0
    exit(isThere ? 0 : 1)
    if (output.isJson) await output.json({ name, revoked })
    else if (isThere) {
      await output.line(`Revoked ${name}.`)
      output.progress('A running server refuses it within a second of its next use.')
    } else output.progress(`attune: there is no key named ${name}`)
  })
}

function readScopes(text: string, before: readonly Scope[] = []): readonly Scope[] {
  return [...new Set([...before, ...text.split(',').map(readScope)])]
}

function readName(text: string): string {
  if (namePattern.test(text)) return text
  throw new InvalidArgumentError('A name has 1 to 64 letters, digits, dots, dashes, underscores.')
}

const createHelp = `
Example:
  attune keys create --name shop --scope read,render --data-dir data
  curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8080/api/v1/status

Works while the server runs; the key is taken within a second.`
