/**
 * How well, and how fast, the shipped recommender answers on two public session sets.
 *
 * Protocol: for every prefix of every test session the next item is predicted among all items.
 * HR@20 is the share of predictions whose item is among the first 20, MRR@20 the mean of 1/rank.
 * The index is frozen: no test session is learned. Both with the current item allowed (the
 * published protocol) and excluded.
 *
 * The files hold one session per line, items in order, without times; sessions are spread evenly
 * over the time that the set covers.
 *
 *     node bench/recommend-quality.ts <folder with diginetica/ and yoochoose1_64/>  \
 *       [--tune] ['--options={"neighbourCountMax":100}']
 *
 * `--tune` scores the last tenth of the training sessions instead of the test sessions, so that
 * settings can be chosen without looking at the test.
 */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { BlendOptions } from '../src/recommend/blend.ts'
import { createBlend } from '../src/recommend/blend.ts'
import type { Recommender, RecommendQuery } from '../src/recommend/recommender.ts'

/** Published or prototype figures for VMIS-kNN with the current item allowed. */
const sets = [
  { name: 'diginetica', daysCovered: 145, hitRate: 0.517, reciprocalRank: 0.183 },
  { name: 'yoochoose1_64', daysCovered: 3, hitRate: 0.691, reciprocalRank: 0.29 },
] as const

const dayMs = 86_400_000
const clickMs = 30_000
const countMax = 20

type Session = readonly string[]

interface Score {
  readonly hitRate: number
  readonly reciprocalRank: number
  /** Sorted. */
  readonly latenciesUs: Float64Array
}

main(process.argv.slice(2))

function main(args: readonly string[]): void {
  const folder = args.find((arg) => !arg.startsWith('--'))
  const settings = args.find((arg) => arg.startsWith('--options='))?.slice('--options='.length)
  const options = JSON.parse(settings ?? '{}') as Partial<BlendOptions>
  for (const set of sets) {
    const path = join(folder ?? '.', set.name)
    if (folder === undefined || !existsSync(join(path, 'train.txt.gz'))) {
      process.stderr.write(`skipped ${set.name}: no train.txt.gz in ${path}\n`)
      continue
    }
    const train = readSessions(join(path, 'train.txt.gz'))
    const isTuning = args.includes('--tune')
    const cut = isTuning ? Math.floor(train.length * 0.9) : train.length
    const test = isTuning ? train.slice(cut) : readSessions(join(path, 'test.txt.gz'))
    runSet(set, { train: train.slice(0, cut), test }, options)
  }
}

function runSet(
  set: (typeof sets)[number],
  sessions: { readonly train: readonly Session[]; readonly test: readonly Session[] },
  options: Partial<BlendOptions>,
): void {
  const recommender = createBlend(options)
  const stepMs = (set.daysCovered * dayMs) / sessions.train.length
  const startedAtMs = performance.now()
  let atMs = 0
  for (const [line, session] of sessions.train.entries()) {
    atMs = line * stepMs
    learnSession(recommender, session, `s${line}`, atMs)
  }
  const eventsPerSecond = (recommender.learnedCount / (performance.now() - startedAtMs)) * 1000
  const allowed = score(recommender, sessions.test, { nowMs: atMs, isCurrentAllowed: true })
  const excluded = score(recommender, sessions.test, { nowMs: atMs, isCurrentAllowed: false })

  const print = (bench: string, value: number, unit: string, baseline?: number): void => {
    const rounded = Math.round(value * 10_000) / 10_000
    const ratio = baseline === undefined ? undefined : Math.round((value / baseline) * 1000) / 1000
    const line = {
      bench: `recommend-quality/${set.name}/${bench}`,
      value: rounded,
      unit,
      baseline,
      ratio,
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  print('hit-rate-20', allowed.hitRate, 'share', set.hitRate)
  print('reciprocal-rank-20', allowed.reciprocalRank, 'mean', set.reciprocalRank)
  print('hit-rate-20-current-excluded', excluded.hitRate, 'share')
  print('reciprocal-rank-20-current-excluded', excluded.reciprocalRank, 'mean')
  print('predictions', allowed.latenciesUs.length, 'count')
  print('query-p50', quantile(allowed.latenciesUs, 0.5), 'us')
  print('query-p99', quantile(allowed.latenciesUs, 0.99), 'us')
  print('query-p999', quantile(allowed.latenciesUs, 0.999), 'us')
  print('ingest', eventsPerSecond, 'events/s')
}

function learnSession(
  recommender: Recommender,
  session: Session,
  profileId: string,
  atMs: number,
): void {
  for (const [index, itemId] of session.entries()) {
    recommender.learn({ profileId, itemId, kind: 'view', occurredAtMs: atMs + index * clickMs })
  }
}

function score(
  recommender: Recommender,
  sessions: readonly Session[],
  how: { readonly nowMs: number; readonly isCurrentAllowed: boolean },
): Score {
  const latenciesUs: number[] = []
  const nothing: ReadonlySet<string> = new Set()
  let hitCount = 0
  let reciprocalSum = 0
  for (const session of sessions) {
    const activity: RecommendQuery['activity'] = session.map((itemId, index) => ({
      itemId,
      kind: 'view',
      occurredAtMs: how.nowMs + index * clickMs,
    }))
    for (let next = 1; next < session.length; next++) {
      const query: RecommendQuery = {
        activity: activity.slice(0, next),
        nowMs: how.nowMs + next * clickMs,
        countMax,
        excludeItemIds: how.isCurrentAllowed ? nothing : new Set(session.slice(next - 1, next)),
        isAllowed: () => true,
      }
      const startedAtMs = performance.now()
      const answer = recommender.recommend(query)
      latenciesUs.push((performance.now() - startedAtMs) * 1000)
      const rank = answer.findIndex((entry) => entry.itemId === session[next]) + 1
      if (rank === 0) continue
      hitCount += 1
      reciprocalSum += 1 / rank
    }
  }
  const count = latenciesUs.length
  return {
    hitRate: hitCount / count,
    reciprocalRank: reciprocalSum / count,
    latenciesUs: Float64Array.from(latenciesUs).sort(),
  }
}

function readSessions(path: string): readonly Session[] {
  const lines = gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n')
  return lines.map((line) => line.split(' '))
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
