import {
  type FindingKind,
  type FindingSample,
  findingKinds,
  findingsKey,
} from '../process/finding.ts'
import { decodeJson, decodeMeta, metaKey } from '../process/meta.ts'
import type { DataReader } from './data-reader.ts'
import { partitionsOf } from './event-lines.ts'
import { showText, showTime } from './output.ts'

export interface FindingLook {
  readonly kind: FindingKind
  readonly says: string
  readonly count: number
  /** The newest, over all partitions. */
  readonly places: readonly {
    readonly partition: number
    readonly offset: number
    readonly atMs: number
    readonly name: string
  }[]
}

const placeCountMax = 20
const shownPlaceCountMax = 3

/** Sums what the folds of all partitions found wrong with the data; the most frequent first. */
export async function lookAtFindings({ log, state }: DataReader): Promise<readonly FindingLook[]> {
  const counts = new Map<string, number>()
  const places = new Map<string, FindingLook['places'][number][]>()
  for (const partition of partitionsOf(log)) {
    const [meta, sample] = await state.get(partition, [metaKey, findingsKey])
    const counted = meta === undefined ? {} : (decodeMeta(meta).findings ?? {})
    for (const [kind, count] of Object.entries(counted)) {
      counts.set(kind, (counts.get(kind) ?? 0) + count)
    }
    const sampled = sample === undefined ? {} : decodeJson<FindingSample>(sample)
    for (const [kind, each] of Object.entries(sampled)) {
      const here = each.map((place) => ({ partition, ...place }))
      places.set(kind, [...(places.get(kind) ?? []), ...here])
    }
  }
  const looks = (Object.keys(findingKinds) as FindingKind[]).flatMap((kind): FindingLook[] => {
    const count = counts.get(kind) ?? 0
    const newest = (places.get(kind) ?? []).sort((left, right) => right.atMs - left.atMs)
    const kept = newest.slice(0, placeCountMax)
    return count === 0 ? [] : [{ kind, says: findingKinds[kind], count, places: kept }]
  })
  return looks.sort((left, right) => right.count - left.count)
}

/** Returns rows for a table: the kind with its count, and where the newest few are in the log. */
export function rowsOfFindings(findings: readonly FindingLook[]): readonly (readonly string[])[] {
  return findings.flatMap(({ kind, says, count, places }) => [
    [kind, `${count}: ${says}`],
    ...places.slice(0, shownPlaceCountMax).map(({ partition, offset, atMs, name }) => {
      return ['', `${showTime(atMs)}  ${partition}:${offset}  ${showText(name)}`]
    }),
  ])
}
