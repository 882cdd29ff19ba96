/** `attune evaluate` on a log of its own, beside the server that writes it. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { systemClock } from '../../src/lib/clock.ts'
import { algorithmNames } from '../../src/recommend/algorithm-names.ts'
import { parseRules } from '../../src/recommend/recommender-rules.ts'
import { openWorld, parseLines, runCommand, type World } from './run-command.ts'

interface Line {
  readonly algorithm: string
  readonly predictions: number
  readonly hr20: number
  readonly mrr20: number
  readonly recall20: number
  readonly ndcg20: number
  readonly learnedCount: number
  readonly testCount: number
  readonly testFromMs: number
  readonly weights?: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly latencyUs: { readonly p50: number }
}

const dayMs = 86_400_000
/** Before what the world itself sends, which is of now. */
const newestMs = systemClock.nowMs() - 2 * dayMs
const lookCountMax = 20
const lookMs = 500
const personCount = 60
const robotViews = 400
const itemsOf = ['tent', 'stove', 'lamp', 'rope']
/** Of each person, and what three people of the world looked at and put into the cart. */
const interactionCount = personCount * itemsOf.length + 6
/** Beyond 300 an hour nothing of one profile is learned. */
const robotLearned = 300

/** Each person looks at all four things in their order, one person each half day. */
function viewsOfAll(): readonly Readonly<Record<string, unknown>>[] {
  const views: Record<string, unknown>[] = []
  for (let person = 0; person < personCount; person++) {
    for (const [step, itemId] of itemsOf.entries()) {
      const atMs = newestMs - person * (dayMs / 2) - (itemsOf.length - step) * 60_000
      views.push({
        type: 'track',
        event: 'Product Viewed',
        // The first two from a device that is joined to the user afterwards.
        ...(step < 2 ? { anonymousId: `device-of-${person}` } : { userId: `person-${person}` }),
        messageId: `view-${person}-${step}`,
        timestamp: new Date(atMs).toISOString(),
        properties: { product_id: itemId },
      })
    }
    views.push({
      ...{ type: 'identify', userId: `person-${person}`, anonymousId: `device-of-${person}` },
      messageId: `identify-${person}`,
    })
  }
  return views
}

describe('attune evaluate on the own log', () => {
  let world: World
  let folder = ''
  /** The blend, with nothing learned of the seven days. */
  let frozen: Line | undefined
  before(async () => {
    world = await openWorld()
    folder = await mkdtemp(join(tmpdir(), 'attune-evaluate-log-'))
    const views = viewsOfAll()
    const robot = Array.from({ length: robotViews }, (_, nth) => ({
      ...{ type: 'track', event: 'Product Viewed', userId: 'robot', messageId: `robot-${nth}` },
      timestamp: new Date(Math.floor(newestMs / dayMs) * dayMs - 1 - nth).toISOString(),
      properties: { product_id: `trap-${nth % 50}` },
    }))
    // Twice: what has the same id is the same event.
    for (const events of [views, views, robot]) {
      for (let from = 0; from < events.length; from += 100) {
        const batch = events.slice(from, from + 100)
        assert.equal(await world.send({ type: 'batch', batch }), 200)
      }
    }
    // All is folded once each event and each device has come where it belongs.
    const all =
      `${interactionCount + robotLearned} interactions of ${personCount + 4} people, ` +
      `${personCount + 3} devices joined`
    let told = ''
    for (let look = 0; look < lookCountMax && !told.includes(all); look++) {
      await systemClock.sleep(look * lookMs)
      told = (await run('--algorithm', 'trending', '--quiet')).stderr
    }
    assert.ok(told.includes(all), told)
  })
  after(async () => {
    await world.close()
    await rm(folder, { recursive: true, force: true })
  })

  const run = (...given: readonly string[]) =>
    runCommand(['evaluate', '--data-dir', world.dataDir, ...given])
  const linesOf = async (...given: readonly string[]): Promise<readonly Line[]> => {
    const { code, stdout, stderr } = await run('--json', '--quiet', ...given)
    assert.equal(code, 0, stderr)
    return parseLines<Line>(stdout).map((line) => ({ ...line, latencyUs: { p50: 0 } }))
  }

  it('predicts the newest days from what lies before, of people with their devices', async () => {
    const [line, ...others] = await linesOf('--days', '7', '--algorithm', 'blend')
    assert.deepEqual(others, [])
    frozen = line
    // Ten people of four views within five days before `newestMs`, and three of two interactions.
    assert.equal(line?.predictions, 33)
    assert.equal(line.hr20, Math.round((30 / 33) * 1e6) / 1e6)
    assert.equal(line.testCount, 46 + robotLearned)
    assert.equal(line.learnedCount, interactionCount - 46)
    const [isNew] = await linesOf('--days', '7', '--algorithm', 'blend', '--new')
    assert.deepEqual([isNew?.predictions, isNew?.hr20], [30, 1])
  })

  it('tells frozen from updated, and repeats from none', async () => {
    const given = ['--days', '7', '--algorithm', 'blend', 'revisit'] as const
    const updated = await linesOf(...given, '--updated')
    const excluded = await linesOf(...given, '--updated', '--exclude-current')
    // The cups of the three are known only where the first of them was learned.
    assert.ok((updated[0]?.hr20 ?? 0) > (frozen?.hr20 ?? 1))
    assert.ok((excluded[0]?.hr20 ?? 1) < (updated[0]?.hr20 ?? 0))
  })

  it('fits weights, writes them as a definition, and takes them from one', async () => {
    const file = join(folder, 'fitted.yaml')
    const lines = await linesOf('--days', '7', '--fit', file, '--algorithm', 'blend')
    const [fitted, shipped] = lines
    assert.deepEqual([fitted?.algorithm, shipped?.algorithm], ['blend-fitted', 'blend'])
    assert.deepEqual(Object.keys(fitted?.weights ?? {}).sort(), ['1', '2', '3-4', '5+'])
    const text = await readFile(file, 'utf8')
    const parsed = parseRules(parseYaml(text), 'fitted')
    assert.equal(parsed.kind, 'rules', text)
    const given = await linesOf('--days', '7', '--algorithm', 'blend', '--weights-of', file)
    const { weights, ...figures } = fitted ?? assert.fail('a line')
    assert.ok(weights !== undefined)
    assert.deepEqual(given[1], { ...figures, algorithm: 'fitted' })
    const again = await run('--fit', file)
    assert.equal(again.code, 2)
    assert.match(again.stderr, /fitted.yaml is there already; give another name/)
    const wrong = join(folder, 'wrong.yaml')
    await writeFile(wrong, 'weights: {magic: 1, trending: .nan}\n')
    const refused = await run('--weights-of', wrong)
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /wrong.yaml weights.magic: is no algorithm/)
    assert.match(refused.stderr, /wrong.yaml weights.trending: must be a number/)
  })

  it('shows a table, how it was split and who was left out', async () => {
    const { code, stdout, stderr } = await run('--days', '7', '--fit')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^algorithm +predictions +HR@20 +MRR@20 +recall/)
    for (const name of ['blend-fitted', 'blend', ...algorithmNames]) {
      assert.match(stdout, new RegExp(`^${name} +33 +[01]\\.\\d{4}`, 'm'))
    }
    assert.match(stdout, /^weights:\n {2}1: \{/m)
    assert.match(stderr, /1 people did too much within an hour, perhaps robots: not predicted/)
    assert.match(stderr, /learned: 200 since .*, fitted on those since .*; to predict: 346 since/)
    assert.match(stderr, /learn: 0 of 200 interactions/)
    assert.match(stderr, /score: 0 of 346 interactions/)
  })

  it('is the same where the log was trimmed behind a base', async () => {
    for (const command of [['base'], ['trim', '--keep-days', '0']]) {
      const ran = await runCommand([...command, '--data-dir', world.dataDir])
      assert.equal(ran.code, 0, ran.stderr)
    }
    const [line] = await linesOf('--days', '7', '--algorithm', 'blend')
    assert.deepEqual(line, frozen)
  })

  it('says what is missing', async () => {
    const long = await run('--days', '3000')
    assert.equal(long.code, 1)
    assert.match(long.stderr, /too little to tell: 546 interactions, 0 of them before/)
    assert.match(long.stderr, /at least 100 to learn from and 20 to predict.*give fewer --days/)
    const none = await runCommand(['evaluate', '--data-dir', join(folder, 'none')])
    assert.equal(none.code, 1)
    assert.match(none.stderr, /none, which holds no log/)
    const empty = join(folder, 'empty')
    assert.equal((await runCommand(['init', '--data-dir', empty])).code, 0)
    const file = join(folder, 'views.csv')
    await writeFile(file, 'userId,event,properties.product_id\nann,Product Viewed,cup\n')
    const imported = ['import', file, '--format', 'csv', '--data-dir', empty]
    assert.equal((await runCommand(imported)).code, 0)
    const behind = await runCommand(['evaluate', '--data-dir', empty])
    assert.equal(behind.code, 1)
    assert.match(behind.stderr, /nobody has looked at, put into a cart or bought anything/)
    assert.match(behind.stderr, /The state is 1 records behind the log/)
    const sessions = await run('--sessions', folder, '--new')
    assert.deepEqual([sessions.code, /are of the own log/.test(sessions.stderr)], [2, true])
  })
})
