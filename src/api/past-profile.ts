/**
 * What the API tells of a person's past: a version, what made each version and what it changed, and
 * the difference of two. A device is followed to its user as of the version that is asked for.
 */

import { type Change, diffDocuments } from '../collect/document-diff.ts'
import type { FoundPerson, StatePlace } from '../delivery/read-state.ts'
import { timeText } from '../lib/time-text.ts'
import type { EventLog } from '../log/event-log.ts'
import { partitionOf } from '../log/record.ts'
import { decodeCursor, encodeCursor, openFeed, readFeed } from '../process/change-feed.ts'
import { noDefinitions } from '../process/definitions.ts'
import { readDefinitions, readList, remember } from '../process/definitions-cache.ts'
import type { DefinitionsOf, FoldSources, ListOf } from '../process/fold.ts'
import type { Cause, PastVersion, RefoldDeps, RefoldPlace } from '../process/fold-stretch.ts'
import {
  findOldest,
  findVersionAt,
  foldVersion,
  foldVersions,
  loadNow,
  type PastAnswer,
  type PastRefusal,
  pastRefusals,
  type SomeVersions,
} from '../process/refold.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { ApiProblem } from './problem.ts'
import { showProfile } from './profile-answer.ts'

export interface PastDeps {
  readonly place: StatePlace
  readonly log: EventLog
  readonly blobs: Pick<BlobStore, 'get'>
}

export interface ShownChange {
  readonly version: number
  readonly at: string
  readonly cause: Cause
  /** Places of the profile's document; long values are cut, and at most 20 are told. */
  readonly changed: readonly Change[]
}

type Shown = Readonly<Record<string, unknown>>

/** A device leads to a user, and no further. */
const hopCountMax = 2
/** Definitions, and lists, kept from one answer to the next. */
const sourcesKeptMax = 4

const statusOf: Readonly<Record<PastRefusal, number>> = {
  off: 409,
  unknown: 404,
  before: 404,
  expired: 410,
  trimmed: 410,
  segments: 410,
  computed: 410,
  rules: 410,
}

export interface PastProfiles {
  /** A profile as it was at an instant of fold time, or at a version. */
  at(key: string, atMs: number): Promise<Shown | ApiProblem>
  version(key: string, version: number): Promise<Shown | ApiProblem>
  /** What made the versions behind `after` (absent: the oldest kept), oldest first. */
  changes(key: string, after: number | undefined, countMax: number): Promise<Shown | ApiProblem>
  diff(key: string, from: number, to: number): Promise<Shown | ApiProblem>
  /** Changes of all people behind a cursor; without one, a cursor to begin with now. */
  feed(since: string | undefined, countMax: number): Promise<Shown | ApiProblem>
}

export function isProblem(answer: Shown | ApiProblem): answer is ApiProblem {
  return 'code' in answer && 'status' in answer && 'detail' in answer
}

export function createPastProfiles(deps: PastDeps): PastProfiles {
  const { place, log } = deps
  const refold: RefoldDeps = { log, state: place.state, ...keepSources(deps.blobs) }
  const placeOf = (personKey: string): RefoldPlace => {
    const { workspace, partitionCount } = place
    const partition = partitionOf(workspace, personKey, partitionCount)
    return { workspace, partitionCount, partition, personKey }
  }
  /** Follows a device to its user as it is now. */
  const currentPlaceOf = async (key: string): Promise<RefoldPlace> => {
    let found = placeOf(key)
    for (let hop = 1; hop < hopCountMax; hop++) {
      const pointer = (await loadNow(refold, found))?.person.pointer
      if (pointer !== undefined) found = placeOf(pointer)
    }
    return found
  }
  return {
    async at(key, atMs) {
      let where = placeOf(key)
      for (let hop = 1; ; hop++) {
        const version = await findVersionAt(refold, where, atMs)
        if (version.kind === 'refused') return problemOf(version.reason)
        const found = await foldVersion(refold, where, version.found)
        if (found.kind === 'refused') return problemOf(found.reason)
        const { pointer } = found.found.person
        if (pointer === undefined || hop === hopCountMax) return showPast(where, found.found)
        where = placeOf(pointer)
      }
    },
    async version(key, version) {
      const where = await currentPlaceOf(key)
      return show(await foldVersion(refold, where, version), (found) => showPast(where, found))
    },
    async changes(key, given, countMax) {
      const where = await currentPlaceOf(key)
      let after = given
      if (after === undefined) {
        const oldest = await findOldest(refold, where)
        if (oldest.kind === 'refused') return problemOf(oldest.reason)
        after = oldest.found - 1
      }
      const answer = await foldVersions(refold, where, { after, countMax })
      return show(answer, ({ before, versions, newest }) => {
        const changes = showChanges(where, before, versions)
        const cursor = versions.at(-1)?.version ?? after
        return { id: where.personKey, changes, cursor: String(cursor), hasMore: cursor < newest }
      })
    },
    async diff(key, from, to) {
      const where = await currentPlaceOf(key)
      const pair: PastVersion[] = []
      for (const version of [from, to]) {
        const answer = await foldVersion(refold, where, version)
        if (answer.kind === 'refused') return problemOf(answer.reason)
        pair.push(answer.found)
      }
      const [before, after] = pair.map((each) => ({
        version: each.version,
        at: timeText(each.atMs),
        shown: compared(where, each),
      }))
      const changed = diffDocuments(before?.shown, after?.shown)
      const [one, other] = [before, after].map((each) => ({ version: each?.version, at: each?.at }))
      return { id: where.personKey, from: one, to: other, changed }
    },
    async feed(since, countMax) {
      const { workspace, partitionCount, state } = place
      const feedDeps = { log, state, workspace }
      if (since === undefined) {
        return { changes: [], cursor: encodeCursor(await openFeed(feedDeps)), hasMore: false }
      }
      const from = decodeCursor(since, partitionCount)
      if (from === undefined) return cursorInvalid
      return show(await readFeed(feedDeps, from, countMax), ({ changes, cursor, hasMore }) => ({
        changes: changes.map(({ personKey: id, version, atMs, cause }) => {
          return { id, version, at: timeText(atMs), cause }
        }),
        cursor: encodeCursor(cursor),
        hasMore,
      }))
    },
  }
}

function show<Found>(
  answer: PastAnswer<Found>,
  showFound: (found: Found) => Shown,
): Shown | ApiProblem {
  return answer.kind === 'refused' ? problemOf(answer.reason) : showFound(answer.found)
}

const cursorInvalid: ApiProblem = {
  status: 400,
  code: 'cursor-invalid',
  detail: '`since` is a cursor that this server gave.',
}

function problemOf(reason: PastRefusal): ApiProblem {
  return { status: statusOf[reason], code: `history-${reason}`, detail: pastRefusals[reason] }
}

function showPast(where: RefoldPlace, past: PastVersion): Shown {
  const { atMs, cause, lacksComputed } = past
  return {
    ...showProfile(foundOf(where, past)),
    ...(lacksComputed ? { leftOut: ['computedTraits'] } : {}),
    ...{ at: timeText(atMs), cause },
  }
}

function showChanges(
  where: RefoldPlace,
  before: SomeVersions['before'],
  versions: readonly PastVersion[],
): readonly ShownChange[] {
  let last = before && compared(where, before)
  return versions.map((each) => {
    const now = compared(where, each)
    const changed = diffDocuments(last ?? {}, now)
    last = now
    return { version: each.version, at: timeText(each.atMs), cause: each.cause, changed }
  })
}

/** The document without what changes with every version. */
function compared(
  where: RefoldPlace,
  past: Pick<PastVersion, 'person' | 'traits' | 'inForce'>,
): Readonly<Record<string, unknown>> {
  const { version: _version, updatedAt: _updatedAt, ...rest } = showProfile(foundOf(where, past))
  return rest
}

function foundOf(
  { partition }: RefoldPlace,
  { person, traits, inForce }: Pick<PastVersion, 'person' | 'traits' | 'inForce'>,
): FoundPerson {
  return { partition, person, traits, inForce }
}

function keepSources(blobs: Pick<BlobStore, 'get'>): FoldSources {
  const definitions = new Map<string, ReturnType<DefinitionsOf>>()
  const lists = new Map<string, ReturnType<ListOf>>()
  return {
    definitionsOf: (hash) =>
      remember(definitions, hash, sourcesKeptMax, async () =>
        hash === '' ? noDefinitions() : await readDefinitions(blobs, hash),
      ),
    listOf: (hash) => remember(lists, hash, sourcesKeptMax, () => readList(blobs, hash)),
  }
}
