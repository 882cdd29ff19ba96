/**
 * Kills under load. `ATTUNE_TEST_KILLS` and `ATTUNE_TEST_SEED` change how many and which.
 *
 * The second half damages copies of what the first left, and expects the examination to tell: one
 * that finds nothing wrong must be able to find something.
 */

import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { type KillResult, runKills } from './kill-harness.ts'
import { compareWithSeen, countStates, examineDataDir } from './verify-data-dir.ts'

const killCount = Number(process.env['ATTUNE_TEST_KILLS'] ?? 50)
const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261123)
const ratePerSecond = 1500
const rateMin = 1000

/** Returns how many messages of a state arrived all the same. */
function countArrived({ examined, seen }: KillResult, kind: string): number {
  const arrived = new Set([...seen.mails.keys()].map((id) => id.slice(1, id.indexOf('@'))))
  const inState = [...examined.messages.values()].filter(({ state }) => state.kind === kind)
  return inState.filter(({ messageId }) => arrived.has(messageId)).length
}

describe('a server that is killed again and again', () => {
  let folder = ''
  let result: KillResult

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-kill-'))
    const say = (line: string): void => console.log(line)
    result = await runKills({ folder, killCount, seed, ratePerSecond, say })
    const { kills, seen, stop } = result
    console.log(
      JSON.stringify({
        seed,
        killCount,
        kills,
        acknowledgedCount: seen.acknowledged.size,
        ratePerSecond: Math.round(result.ratePerSecond),
        mailCount: seen.mails.size,
        messages: countStates(result.examined),
        unknownThatArrived: countArrived(result, 'unknown'),
        stopMs: Math.round(stop.tookMs),
      }),
    )
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('loses nothing that it acknowledged, folds as a replay does, and sends nothing twice', () => {
    assert.deepEqual(result.examined.findings, [])
    assert.deepEqual(compareWithSeen(result.examined, result.seen), [])
    assert.ok(result.ratePerSecond >= rateMin, `${result.ratePerSecond} events/s under the kills`)
    assert.ok(result.seen.mails.size > killCount, 'emails flowed all the while')
    assert.equal(result.stop.code, 0)
  })

  it('died at every named place', () => {
    const places = Object.keys(result.kills).filter((name) => name.includes('-'))
    assert.equal(places.length, 8, JSON.stringify(result.kills))
  })

  it('would have been caught losing an acknowledged event', () => {
    const acknowledged = [...result.seen.acknowledged, 'never-sent']
    const findings = compareWithSeen(result.examined, { ...result.seen, acknowledged })
    assert.deepEqual(findings, ['1 acknowledged events are not in the log: never-sent'])
  })

  it('would have been caught sending twice', () => {
    const [some = ''] = result.seen.mails.keys()
    const mails = new Map(result.seen.mails).set(some, 2)
    const findings = compareWithSeen(result.examined, { ...result.seen, mails })
    assert.equal(findings.length, 1)
    assert.match(findings[0] ?? '', /arrived 2 times$/)
  })

  it('would have been caught where the log lacks a record or the state a value', async () => {
    const copy = join(folder, 'copy')
    await cp(result.dataDir, copy, { recursive: true })
    const log = new DatabaseSync(join(copy, 'events.sqlite'))
    log.exec('DELETE FROM record_3 WHERE n = 40')
    log.close()
    const state = new DatabaseSync(join(copy, 'state.sqlite'))
    state.exec(`DELETE FROM entry WHERE rowid =
      (SELECT rowid FROM entry WHERE partition = 5 AND key LIKE 'person/%' LIMIT 1)`)
    assert.equal(Number(state.prepare('SELECT changes() AS n').get()?.['n']), 1)
    state.close()
    const { findings } = await examineDataDir(copy, [3, 5])
    const all = findings.join('\n')
    assert.match(all, /check: record-missing/)
    assert.match(all, /partition 5: the state at \d+ is not the fold of the log/)
  })
})
