/** `attune evaluate` on a folder so small that its figures can be worked out. */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createSeededRandom } from '../../src/lib/random.ts'
import { parseLines, runCommand } from './run-command.ts'

interface Line {
  readonly algorithm: string
  readonly predictions: number
  readonly hr20: number
  readonly mrr20: number
  readonly coverage: number
  readonly latencyUs: { readonly p50: number; readonly p99: number }
}

describe('attune evaluate', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-evaluate-'))
    const train = ['1 2 3', '1 2', '1 3', '', `4 ${'5 '.repeat(5_000)}`]
    await writeFile(join(folder, 'train.txt.gz'), gzipSync(train.join('\n')))
    await writeFile(join(folder, 'test.txt'), '1 3\n9 1 2\n2 8\n')
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const evaluate = (...given: readonly string[]) =>
    runCommand(['evaluate', '--sessions', folder, '--json', ...given])

  it('gives exact figures', async () => {
    const { code, stdout, stderr } = await evaluate('--algorithm', 'sequential-rules')
    assert.equal(code, 0, stderr)
    const [line, ...others] = parseLines<Line>(stdout)
    assert.deepEqual(others, [])
    // After 1 came 2 (two times at once), and 3 (at once, and at two steps): 2 to 1.25.
    //   1 -> 3        place 2
    //   9 -> 1        9 is unknown: what trends: 5, met most often, 4, a week newer, and then 1
    //   9 1 -> 2      place 1
    //   2 -> 8        never met, so never found
    assert.ok(line !== undefined)
    assert.deepEqual([line.algorithm, line.predictions], ['sequential-rules', 4])
    assert.equal(line.hr20, 0.75)
    const placeOfTrend = 1 / (line.mrr20 * 4 - 1 / 2 - 1)
    assert.equal(Math.round(placeOfTrend * 1e3) / 1e3, 3, `${line.mrr20}`)
    assert.equal(line.coverage, 1)
    assert.ok(line.latencyUs.p50 > 0 && line.latencyUs.p99 >= line.latencyUs.p50)
    assert.match(stderr, /1 empty lines passed over/)
    assert.match(stderr, /1 sessions of more than 1000 items, perhaps robots/)
    assert.match(stderr, /sequential-rules: 0 of 3 sessions/)
  })

  it('gives the same figures each time, and others where told to', async () => {
    const figures = async (...given: readonly string[]) => {
      const { stdout, stderr } = await evaluate('--algorithm', 'blend', 'revisit', ...given)
      const lines = parseLines<Line>(stdout)
      assert.equal(lines.length, 2, stderr)
      return lines.map((line) => ({ ...line, latencyUs: undefined }))
    }
    const plain = await figures()
    assert.deepEqual(await figures(), plain)
    const excluded = await figures('--exclude-current')
    const updated = await figures('--updated')
    for (const at of plain.keys()) {
      assert.notDeepEqual(excluded[at], plain[at])
      assert.notDeepEqual(excluded[at], updated[at])
    }
  })

  it('learns a test session only where updated, and only after it was scored', async () => {
    await writeFile(join(folder, 'test.txt'), '2 8\n2 8\n')
    const hits = async (...given: readonly string[]) => {
      const { stdout } = await evaluate('--algorithm', 'co-visitation', ...given)
      return parseLines<Line>(stdout)[0]?.hr20
    }
    assert.equal(await hits(), 0)
    assert.equal(await hits('--updated'), 0.5)
  })

  it('fits weights to what is learned, whatever is to be predicted', async () => {
    const many = join(folder, 'many')
    await mkdir(many)
    /** Walks among 30 items, mostly near the one before; some go back. */
    const sessionsOf = (seed: number, count: number): string => {
      const random = createSeededRandom(seed)
      const walk = Array.from({ length: count }, () => {
        const items = [Math.floor(random.unit() * 30)]
        while (items.length < 5) {
          const isBack = random.unit() < 0.2
          const near = (items.at(-1) ?? 0) + Math.floor(random.unit() ** 2 * 8)
          items.push(isBack ? (items[0] ?? 0) : near % 30)
        }
        return items.join(' ')
      })
      return walk.join('\n')
    }
    let fitCount = 0
    const fit = async (train: string, test: string): Promise<string> => {
      await writeFile(join(many, 'train.txt'), train)
      await writeFile(join(many, 'test.txt'), test)
      const file = join(many, `fitted-${fitCount++}.yaml`)
      const given = ['--sessions', many, '--fit', file, '--algorithm', 'blend', '--quiet']
      const { code, stderr } = await runCommand(['evaluate', ...given])
      assert.equal(code, 0, stderr)
      return await readFile(file, 'utf8')
    }
    const train = sessionsOf(1, 300)
    const fitted = await fit(train, sessionsOf(2, 40))
    assert.match(fitted, /0\.\d/)
    assert.equal(await fit(train, sessionsOf(3, 60)), fitted)
    assert.equal(await fit(train, '7 7 7 7 7 7\n'), fitted)
    assert.notEqual(await fit(sessionsOf(4, 300), sessionsOf(2, 40)), fitted)
  })

  it('shows a table, without --json', async () => {
    const { code, stdout } = await runCommand(['evaluate', '--sessions', folder, '--quiet'])
    assert.equal(code, 0)
    assert.match(stdout, /^algorithm +predictions +HR@20/)
    assert.match(stdout, /^two-steps +\d/m)
    assert.match(stdout, /Weights of the blend/)
  })

  it('refuses a folder without sessions and a name that is none', async () => {
    const missing = await runCommand(['evaluate', '--sessions', join(folder, 'none')])
    assert.equal(missing.code, 2)
    assert.match(missing.stderr, /has no train.txt and no train.txt.gz/)
    const unknown = await evaluate('--algorithm', 'magic')
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /one of blend, session-neighbours/)
    await writeFile(join(folder, 'train.txt'), '\n\n')
    assert.equal((await evaluate()).code, 2)
    await writeFile(join(folder, 'train.txt'), '')
    await writeFile(join(folder, 'test.txt'), '')
    await rm(join(folder, 'train.txt'))
    const nothing = await evaluate('--algorithm', 'trending')
    assert.equal(nothing.code, 0, nothing.stderr)
    assert.equal(parseLines<Line>(nothing.stdout)[0]?.predictions, 0)
  })
})
