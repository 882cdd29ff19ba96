/**
 * What the shipped blend is worth, so that a change that costs quality does not pass unseen: on
 * drawn sessions always, and on a slice of a public set where the shared data is here. The figures
 * are exact, since nothing is left to chance; what they may lose lies below what each of the
 * faults costs that are tried here.
 */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { createSeededRandom } from '../../lib/random.ts'
import { algorithmNames } from '../algorithm-names.ts'
import type { BlendOptions } from '../blend.ts'
import { type EvaluatedName, SessionEvaluator, type SessionSet } from './evaluate-sessions.ts'
import { type Session, SessionParser } from './parse-sessions.ts'
import type { Figures } from './score-board.ts'
import { drawSessions } from './shop-sessions.fixture.ts'

/** The files are not part of the repository; these are the places where they may lie. */
const digineticaPath = ['data', '../shared/data']
  .map((place) => `../../../${place}/sessions/diginetica`)
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))

const dayMs = 86_400_000
const seed = 1

function openEvaluator(set: SessionSet, blend: Partial<BlendOptions> = {}): SessionEvaluator {
  return new SessionEvaluator({ monotonicMs: () => 0 }, set, {
    ...{ daysCovered: 90, isUpdated: false, isCurrentExcluded: false, isFitted: false, blend },
  })
}

const without = (name: EvaluatedName): Partial<BlendOptions> => ({
  algorithms: algorithmNames.filter((each) => each !== name),
})
const says = ({ hr20, mrr20 }: Figures): string => `${hr20.toFixed(4)} / ${mrr20.toFixed(4)}`

describe('the shipped blend', () => {
  const set = drawSessions(createSeededRandom(seed), { trainCount: 12_000, testCount: 500 })
  const least = { hr20: 0.654, mrr20: 0.212 }

  it('finds what comes next, better than each of its algorithms alone', (t) => {
    const evaluator = openEvaluator(set)
    const blend = evaluator.evaluate('blend')
    t.diagnostic(`HR@20 / MRR@20 ${says(blend)} of ${blend.predictions}, seed ${seed}`)
    assert.ok(blend.hr20 >= least.hr20 && blend.mrr20 >= least.mrr20, says(blend))
    for (const name of algorithmNames) {
      const alone = evaluator.evaluate(name)
      assert.ok(alone.hr20 < blend.hr20 - 0.05, `${name} ${says(alone)}`)
      assert.ok(alone.mrr20 < blend.mrr20 - 0.01, `${name} ${says(alone)}`)
    }
  })

  const faults: Readonly<Record<string, Partial<BlendOptions>>> = {
    'meetings of long ago count as much': { pairHalfLifeMs: 1e6 * dayMs },
    'one neighbour speaks alone': { neighbourCountMax: 1 },
    'session-neighbours says nothing': without('session-neighbours'),
    'co-visitation learns nothing': without('co-visitation'),
  }
  for (const [fault, options] of Object.entries(faults)) {
    it(`would be seen to be worse where ${fault}`, (t) => {
      const broken = openEvaluator(set, options).evaluate('blend')
      t.diagnostic(`HR@20 / MRR@20 ${says(broken)}`)
      assert.ok(broken.hr20 < least.hr20 && broken.mrr20 < least.mrr20, says(broken))
    })
  }

  it('finds what comes next on a slice of diginetica', {
    skip: digineticaPath === undefined && 'the shared data is not here',
  }, (t) => {
    const [train, test] = [readSessions('train'), readSessions('test').slice(0, 800)]
    const evaluator = openEvaluator({ train, test })
    const blend = evaluator.evaluate('blend')
    t.diagnostic(`HR@20 / MRR@20 ${says(blend)} of ${blend.predictions}`)
    assert.ok(blend.hr20 >= 0.525 && blend.mrr20 >= 0.175, says(blend))
    for (const name of algorithmNames) {
      const alone = evaluator.evaluate(name)
      assert.ok(alone.hr20 < blend.hr20 - 0.01, `${name} ${says(alone)}`)
    }
  })
})

function readSessions(name: string): readonly Session[] {
  const parser = new SessionParser()
  parser.push(gunzipSync(readFileSync(`${digineticaPath}/${name}.txt.gz`)).toString('utf8'))
  return parser.end().sessions
}
