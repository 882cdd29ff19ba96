/** `attune rejected` as an operator uses it, beside a real server. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { stopServerProcess } from '../faults/server-process.ts'
import { added, ask, openRejectedStage, type RejectedStage, send } from './rejected-stage.ts'
import { parseLines, runCommand, waitUntil } from './run-command.ts'

interface ReplayLine {
  readonly acceptedCount: number
  readonly eventCount: number
}

describe('attune rejected', () => {
  let stage: RejectedStage
  before(async () => {
    stage = await openRejectedStage()
  })
  after(() => stage.close())

  it('goes from a list to an empty list beside the running server', async () => {
    const dataDir = join(stage.folder, 'data')
    const server = await stage.open(dataDir)
    const here = ['--data-dir', dataDir]
    try {
      for (const userId of ['ada', 'bob']) {
        await send(server, '/v1/track', JSON.stringify(added(userId, '4.50')))
      }
      await send(server, '/v1/track', JSON.stringify({ userId: 'eve', event: '\u001b[2Jx' }))
      assert.equal(await send(server, '/v1/track', '{"userId":"ada","event":"Seen","n":NaN}'), 400)
      const listed = await runCommand(['rejected', 'list', ...here])
      assert.match(listed.stdout, /^2 +web +plan-mismatch +\/properties\/weight +Product Added/m)
      assert.match(listed.stdout, /^1 +web +body-not-json +- +-/m)
      assert.ok(!listed.stdout.includes('\u001b'))

      const planned = ['--source', 'web', '--reason', 'plan-mismatch']
      const shown = await runCommand(['rejected', 'show', ...planned, ...here])
      assert.match(shown.stdout, /^> {5}"weight": "4\.50"$/m)
      const evil = await runCommand(['rejected', 'show', '--reason', 'text-invalid', ...here])
      assert.match(evil.stdout, /^> {3}"event": "\\u001b\[2Jx",?$/m)
      assert.ok(!evil.stdout.includes('\u001b'))

      const repair = [
        'rejected',
        'repair',
        '--file',
        stage.fixFile,
        '--dry-run',
        ...planned,
        ...here,
      ]
      const trial = await runCommand(repair)
      assert.equal(trial.code, 0, trial.stderr)
      assert.match(trial.stdout, /- \/properties\/weight "4\.50"\n.*\+ \/properties\/weight 4\.5$/m)
      assert.match(trial.stdout, /2 would be accepted/)
      assert.equal((await stage.listOf(dataDir)).length, 3)

      const replay = ['rejected', 'replay', '--file', stage.fixFile, ...planned, '--json']
      const locked = await runCommand([...replay, ...here])
      assert.equal(locked.code, 1)
      assert.match(locked.stderr, /DATA_DIR_LOCKED.*--url/)
      const key = await stage.makeKey(dataDir)
      const there = ['--url', server.url, '--key-file', stage.keyFile]
      const done = await runCommand([...replay, ...there])
      assert.equal(done.code, 0, done.stderr)
      assert.equal(parseLines<ReplayLine>(done.stdout)[0]?.acceptedCount, 2)
      const profile = () => ask<{ version?: number }>(server, '/profiles/ada', key)
      await waitUntil(async () => (await profile()).version !== undefined)
      const { version } = await profile()
      const again = await runCommand([...replay, ...there])
      assert.equal(parseLines<ReplayLine>(again.stdout)[0]?.eventCount, 0)
      assert.equal((await profile()).version, version)
      // Events of the past trigger nothing: the campaign of the shop sends at once otherwise.
      assert.equal((await runCommand(['messages', '--json', ...here])).stdout, '')

      const nan = join(stage.folder, 'nan.json')
      await writeFile(nan, '{"steps":[{"replace-text":{"find":"NaN","to":"null"}}]}')
      const text = ['rejected', 'replay', '--file', nan, '--reason', 'body-not-json', ...there]
      assert.match((await runCommand(text)).stdout, /^1 replayed\.$/m)
      const because = ['--reason', 'text-invalid', '--because', 'a test of terminals']
      const dismissed = await runCommand(['rejected', 'dismiss', ...because, ...there])
      assert.match(dismissed.stdout, /^1 dismissed\.$/m)
      assert.deepEqual(await stage.listOf(dataDir), [])
      const metrics = await (await fetch(`${server.url}/metrics`)).text()
      assert.match(metrics, /^attune_rejected_open_events\{reason="plan-mismatch"\} 0$/m)
      assert.match(metrics, /^attune_rejected_oldest_seconds 0$/m)
      assert.equal((await runCommand(['rejected', 'show', ...here])).code, 1)
    } finally {
      await stopServerProcess(server)
    }
  })

  it('refuses what is wrong, all at once, before it opens anything', async () => {
    const bad = join(stage.folder, 'bad.yaml')
    await writeFile(bad, 'steps:\n  - fix: {}\n  - remove: {at: weight}\n')
    const given = ['--source', 'web', '--data-dir', join(stage.folder, 'nowhere')]
    const faulty = await runCommand(['rejected', 'replay', '--file', bad, ...given])
    assert.equal(faulty.code, 2)
    assert.match(faulty.stderr, /\/steps\/0: .*\n.*\/steps\/1\/remove\/at: /)
    const all = await runCommand(['rejected', 'replay', '--file', stage.fixFile])
    assert.equal(all.code, 2)
    const plain = ['rejected', 'list', '--url', 'http://shop.example', '--key-file', stage.keyFile]
    const refused = await runCommand(plain)
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /must be https/)
  })
})
