/** `attune segment` as an operator uses it, beside a real server and without one. */

import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { openWorld, parseLines, people, runCommand, type World, waitUntil } from './run-command.ts'

interface SegmentLine {
  readonly name: string
  readonly state: string
  readonly memberCount: number
}

const segments: Readonly<Record<string, string>> = {
  carts: 'description: Put something in.\nrule: {event: Product Added, within: 30d}\n',
  vips: 'list: vip\n',
  good: 'all: [{segment: carts}, {not: {segment: vips}}, {consent: reminders}]\n',
}

describe('attune segment', () => {
  let world: World
  let server: ServerProcess | undefined
  let port = 0

  const run = (...given: readonly string[]) =>
    runCommand(['segment', ...given, '--data-dir', world.dataDir])
  const start = async (): Promise<void> => {
    const { dataDir, definitionsDir, catcher } = world
    server = await openServerProcess({ dataDir, definitionsDir, port, smtpPort: catcher.port })
  }
  const stop = async (): Promise<void> => {
    if (server !== undefined && !server.hasEnded) await stopServerProcess(server)
  }
  const list = async (): Promise<ReadonlyMap<string, SegmentLine>> => {
    const ran = await run('list', '--json')
    assert.equal(ran.code, 0, ran.stderr)
    return new Map(parseLines<SegmentLine>(ran.stdout).map((line) => [line.name, line]))
  }
  const untilMembers = (name: string, count: number): Promise<void> =>
    waitUntil(async () => {
      const lines = await list()
      const isDone = [...lines.values()].every(({ state }) => state === 'in-force')
      return isDone && lines.get(name)?.memberCount === count
    })

  before(async () => {
    port = await freePort()
    world = await openWorld()
    await world.stop()
    await mkdir(join(world.definitionsDir, 'segments'))
    for (const [name, text] of Object.entries(segments)) {
      await writeFile(join(world.definitionsDir, 'segments', `${name}.yaml`), text)
    }
    await start()
  })
  after(async () => {
    await stop()
    await world.close()
  })

  it('lists new rules once they have reached people of the past, and explains them', async () => {
    await untilMembers('carts', people.length)
    const shown = await run('list')
    assert.match(shown.stdout, /^carts +in-force +3 members +Put something in\.$/m)
    const one = await run('show', 'carts')
    assert.match(one.stdout, /^events: Product Added$/m)
    assert.match(one.stdout, /^named by: good$/m)
    const explained = await run('explain', 'good', 'ada')
    assert.match(explained.stdout, /^user:ada is in good since /)
    assert.match(explained.stdout, /^ {2}yes in segment carts, saw true$/m)
    assert.match(explained.stdout, /^ {4}no {2}in segment vips, saw false$/m)
    assert.equal((await run('explain', 'good', 'nobody')).code, 1)
    assert.equal((await run('show', 'none')).code, 1)
  })

  it('tells how many a rule would take, or what is wrong with it', async () => {
    const file = join(world.folder, 'rule.yaml')
    await writeFile(file, 'rule: {event: Product Added, count: {atLeast: 1}, within: 1d}\n')
    const counted = await run('preview', file)
    assert.match(counted.stdout, /^3 of 3 people, all looked at\.$/m)
    await writeFile(file, 'all: [{event: Product Added, within: soon}, {segment: none}]\n')
    const refused = await run('preview', file)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /rule\.yaml \/all\/0\/within: must be like 10s/)
  })

  it('replaces a list over the API of a running server, and on files of none', async () => {
    const file = join(world.folder, 'vip.csv')
    await writeFile(file, 'user_id\nada\nbob\n')
    const locked = await run('upload', 'vip', file)
    assert.equal(locked.code, 1)
    assert.match(locked.stderr, /give its --url/)
    const scope = ['--name', 'ops', '--scope', 'write', '--data-dir', world.dataDir]
    const made = await runCommand(['keys', 'create', ...scope])
    const keyFile = join(world.folder, 'key')
    await writeFile(keyFile, made.stdout)
    const remote = ['--url', `http://127.0.0.1:${port}`, '--key-file', keyFile]
    const uploaded = await run('upload', 'vip', file, ...remote)
    assert.equal(uploaded.stdout, 'The list vip has 2 keys now.\n', uploaded.stderr)
    await untilMembers('vips', 2)
    assert.equal((await list()).get('good')?.memberCount, 1)

    await writeFile(file, 'user_id\nada\nguest\n')
    const refused = await run('upload', 'vip', file, ...remote)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /line 3 The id is a placeholder/)

    await stop()
    await writeFile(file, 'key\nuser:cyd\n')
    assert.equal((await run('upload', 'vip', file)).code, 0)
    await start()
    await untilMembers('vips', 1)
    const explained = await run('explain', 'vips', 'cyd')
    assert.match(explained.stdout, /^user:cyd is in vips since /)
  })

  it('leaves all as it is where a folder is refused, and names each fault', async () => {
    await stop()
    const before = await list()
    const broken = join(world.folder, 'broken')
    await cp(world.definitionsDir, broken, { recursive: true })
    await mkdir(join(broken, 'traits'))
    const conditions = Array.from({ length: 10_000 }, (_, index) => ({ trait: `t${index}`, is: 1 }))
    const files: Readonly<Record<string, object>> = {
      'segments/carts': { event: 'Product Added', within: 7, colour: 'red' },
      'segments/ring-a': { segment: 'ring-b' },
      'segments/ring-b': { not: { segment: 'ring-a' } },
      'segments/wide': { all: conditions },
      'segments/half': { trait: 'a\ud800', is: 'b\udfff' },
      'segments/two\nlines': { trait: 'plan', is: 'pro' },
      'traits/views': { kind: 'count', event: 'Product Viewed' },
      'traits/loop': { kind: 'ratio', over: 'loop', by: 'views', whenZero: 0 },
    }
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(broken, `${name}.yaml`), JSON.stringify(content))
    }
    const given = ['--data-dir', world.dataDir, '--definitions', broken, '--port', String(port)]
    const { code, stderr } = await runCommand(['start', ...given])
    assert.equal(code, 1)
    const nameSays = 'a segment name has 1 to 200 characters, no slash and no control character'
    const numbers = 'count, sum, average, min, max, uniqueCount'
    const lines = stderr.split('\n')
    const first = lines.findIndex((line) => line.includes('DEFINITIONS_INVALID'))
    assert.deepEqual(lines.slice(first + 1, lines.indexOf('', first) - 1), [
      'segments/carts.yaml: colour: is unknown here; known are event, count, within, where',
      'segments/carts.yaml: within: must be like 10s, 5m, 4h or 30d, at most 3660d',
      'segments/half.yaml: trait: holds half of a character (a lone surrogate)',
      'segments/half.yaml: is: must be a text, a number, true, false or null',
      `segments/two\\u{a}lines.yaml: ${nameSays}`,
      'segments/wide.yaml: all/200: a rule has at most 200 conditions',
      'segments/ring-a.yaml: depends on itself: ring-a -> ring-b -> ring-a',
      `traits/loop.yaml: over: is a ratio; a ratio takes ${numbers}`,
    ])
    assert.deepEqual(await list(), before)
  })
})
