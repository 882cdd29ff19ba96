/**
 * Reads what people did as the recommendation index is fed with it: from the feed that the fold
 * keeps in the state. So each event once, without what was skipped, also where the log was trimmed
 * behind a base, and of any store. Writes nothing; servers may run.
 *
 * A query is about all that a person did, by the devices that belong to them now; learned it is by
 * the profile that it came under, as the index did. Of a robot stays what the index learns of it,
 * and nothing is asked about it.
 */

import type { Item } from '../catalog/item.ts'
import type { StatePlace } from '../delivery/read-state.ts'
import { partitionOf } from '../log/record.ts'
import { decodeFeed, feedCountMax } from '../process/feed.ts'
import { FeedFollower } from '../process/follow-feed.ts'
import { readMeta } from '../process/meta.ts'
import { feedPrefix } from '../process/scope.ts'
import { decodePerson, partCountMax, personPrefix } from '../profile/person.ts'
import { contentOf } from '../recommend/advisor.ts'
import { PeopleActivity } from '../recommend/evaluate/people-activity.ts'
import type { ItemContent } from '../recommend/item-contents.ts'
import { RobotGuard } from '../recommend/robot-guard.ts'

export interface ReadActivity {
  readonly activity: PeopleActivity
  readonly contents: readonly ItemContent[]
  readonly itemCount: number
  readonly deviceCount: number
  /** People, by number, who did too much within an hour; and what was left out of it. */
  readonly robots: { readonly people: ReadonlySet<number>; readonly ignoredCount: number }
  /** Before it some partitions have forgotten what they fed; absent where all is there. */
  readonly wholeFromMs?: number
}

type Tell = (step: string, doneCount: number, allCount: number) => void

const batchCount = 500
/** Entries looked at for the first that is no item. */
const oldestCount = 1000
const contentCountMax = 1_000_000

export async function readActivity(place: StatePlace, tell: Tell): Promise<ReadActivity> {
  const activity = new PeopleActivity()
  const guard = new RobotGuard()
  const robotIds = new Set<string>()
  const contents: ItemContent[] = []
  let itemCount = 0
  const follower = new FeedFollower(place.state, place.partitionCount)
  await follower.open()
  // A feed has an entry for an event, which may have several interactions.
  const entryCount = follower.next.reduce((sum, next) => sum + Math.min(next - 1, feedCountMax), 0)
  let readCount = 0
  await follower.fill({
    follow(item: Item) {
      itemCount += 1
      if (item.isRemoved !== true && contents.length < contentCountMax) {
        contents.push(contentOf(item))
      }
    },
    erase(profileIds) {
      for (const profileId of profileIds) activity.erase(profileId)
    },
    learn(interactions) {
      readCount += interactions.length
      tell('read', Math.min(readCount, entryCount), entryCount)
      for (const interaction of interactions) {
        const { profileId, occurredAtMs } = interaction
        if (guard.admits(profileId, occurredAtMs)) activity.add(interaction)
        else robotIds.add(profileId)
      }
    },
  })
  const wholeFromMs = await findWholeFrom(place, follower.next)
  const { profileIds } = activity
  const owners = await findOwners(place, profileIds, tell)
  const deviceCount = owners.filter((owner, index) => owner !== profileIds[index]).length
  activity.join(owners)
  activity.sort()
  return {
    ...{ activity, contents, itemCount, deviceCount },
    robots: { people: activity.peopleOf(robotIds), ignoredCount: guard.ignoredCount },
    ...(wholeFromMs === undefined ? {} : { wholeFromMs }),
  }
}

/** Returns of each profile the one that it has become part of, or itself. */
async function findOwners(
  { state, workspace, partitionCount }: StatePlace,
  profileIds: readonly string[],
  tell: Tell,
): Promise<readonly string[]> {
  const owners = [...profileIds]
  let open = owners.map((_, index) => index)
  // Pointers only go down, over keys of one person.
  for (let hop = 0; hop <= partCountMax && open.length > 0; hop++) {
    const moved: number[] = []
    let doneCount = 0
    for (const [partition, indexes] of Map.groupBy(open, (index) =>
      partitionOf(workspace, owners[index] ?? '', partitionCount),
    )) {
      for (let from = 0; from < indexes.length; from += batchCount) {
        const batch = indexes.slice(from, from + batchCount)
        const keys = batch.map((index) => personPrefix + owners[index])
        const people = await state.get(partition, keys)
        for (const [at, bytes] of people.entries()) {
          const pointer = bytes === undefined ? undefined : decodePerson(bytes).pointer
          const index = batch[at]
          if (pointer === undefined || index === undefined) continue
          owners[index] = pointer
          moved.push(index)
        }
        doneCount += batch.length
        if (hop === 0) tell('people', doneCount, open.length)
      }
    }
    open = moved
  }
  return owners
}

/** The feed of a busy partition has dropped its oldest entries. */
async function findWholeFrom(
  { state }: StatePlace,
  next: readonly number[],
): Promise<number | undefined> {
  let wholeFromMs: number | undefined
  for (const partition of next.keys()) {
    const meta = await readMeta(state, partition)
    if (meta === undefined || meta.feedNext - 1 <= feedCountMax) continue
    for (const { value } of await state.scan(partition, feedPrefix, '', oldestCount)) {
      const [first] = decodeFeed(value).interactions
      if (first === undefined) continue
      wholeFromMs = Math.max(wholeFromMs ?? first.occurredAtMs, first.occurredAtMs)
      break
    }
  }
  return wholeFromMs
}
