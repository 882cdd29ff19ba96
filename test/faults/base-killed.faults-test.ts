/** `attune base` and `attune trim`, killed at any time. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { openWorld, parseLines, runCommand } from '../command/run-command.ts'

const killsMs = [250, 350, 450, 550, 650, 800, 1000]

it('a base is whole or none, and a trim goes on, whenever they are killed', async (t) => {
  const world = await openWorld()
  t.after(() => world.close())
  await world.stop()
  const { dataDir } = world
  const run = async (...given: readonly string[]) => {
    const ran = await runCommand([...given, '--data-dir', dataDir, '--json'])
    return { ...ran, lines: parseLines<{ readonly verdict?: string }>(ran.stdout) }
  }
  for (const killAfterMs of killsMs) {
    await runCommand(['base', '--data-dir', dataDir], { killAfterMs })
    await runCommand(['trim', '--keep-days', '0', '--data-dir', dataDir], { killAfterMs })
  }
  const listed = await run('base', 'list', '--verify')
  assert.equal(listed.code, 0)
  assert.ok(listed.lines.every(({ verdict }) => verdict === 'whole'))
  assert.equal((await run('base')).code, 0)
  assert.equal((await run('trim', '--keep-days', '0')).code, 0)
  assert.ok((await readdir(join(dataDir, 'bases'))).every((name) => !name.endsWith('.new')))
  const into = join(world.folder, 'rebuilt')
  assert.equal((await run('rebuild', '--into', into)).code, 0)
  assert.equal((await run('check')).code, 0)
})
