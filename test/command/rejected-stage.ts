/** What the tests of `attune rejected` share: definitions with a tracking plan, servers, calls. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, openServerProcess, type ServerProcess } from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'
import { parseLines, runCommand } from './run-command.ts'

const source = `name: web
writeKeys: [${writeKey}]
trackingPlan:
  mode: lenient
  events:
    Product Added: {mode: strict, schema: {properties: {weight: {type: number}}}}
`
const fix = 'steps:\n  - cast: {at: /properties/weight, to: number}\n'

export interface GroupLine {
  readonly reason: string
  readonly path: string
  readonly count: number
}

export interface RejectedStage {
  readonly folder: string
  /** A repair that mends events made by `added` with a text for a weight. */
  readonly fixFile: string
  /** Where `makeKey` puts the key. */
  readonly keyFile: string
  open(dataDir: string, configPath?: string): Promise<ServerProcess>
  makeKey(dataDir: string): Promise<string>
  listOf(dataDir: string): Promise<readonly GroupLine[]>
  close(): Promise<void>
}

export async function openRejectedStage(): Promise<RejectedStage> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-rejected-'))
  const definitionsDir = join(folder, 'shop')
  const fixFile = join(folder, 'fix.yaml')
  const keyFile = join(folder, 'key')
  await writeSmallShop(definitionsDir)
  await writeFile(join(definitionsDir, 'sources/web.yaml'), source)
  await writeFile(fixFile, fix)
  return {
    ...{ folder, fixFile, keyFile },
    async open(dataDir, configPath) {
      const environment = configPath === undefined ? {} : { ATTUNE_CONFIG: configPath }
      const port = await freePort()
      return await openServerProcess({ dataDir, definitionsDir, port, environment })
    },
    async makeKey(dataDir) {
      const scope = ['--name', 'ops', '--scope', 'read,repair']
      const made = await runCommand(['keys', 'create', ...scope, '--data-dir', dataDir])
      await writeFile(keyFile, made.stdout)
      return made.stdout.trim()
    },
    async listOf(dataDir) {
      const ran = await runCommand(['rejected', 'list', '--json', '--data-dir', dataDir])
      assert.equal(ran.code, 0, ran.stderr)
      return parseLines<GroupLine>(ran.stdout)
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

export async function send(server: ServerProcess, path: string, body: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/json' }
  const answer = await fetch(server.url + path, { method: 'POST', headers, body })
  await answer.arrayBuffer()
  return answer.status
}

export function added(userId: string, weight: unknown): object {
  return {
    ...{ type: 'track', event: 'Product Added', userId },
    properties: { product_id: 'cup', weight },
  }
}

export async function ask<Answer>(
  server: ServerProcess,
  path: string,
  key: string,
): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(`${server.url}/api/v1${path}`, { headers })
  return (await answer.json()) as Answer
}
