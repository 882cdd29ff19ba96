/**
 * Who is who at the end, worked out from all new events of the log at once: whatever was repeated,
 * delayed or reordered between partitions, the same people. Keys that can be traced to one that an
 * operator took out are left out, and so is all of a seed in which a limit refused a merge.
 */

import type { Event } from '../../src/event/event.ts'
import { compileDefinitions } from '../../src/process/definitions.ts'
import { foretellPeople, type ToldEvent } from '../../src/process/foretell-people.fixture.ts'
import { defaultIdentityRules } from '../../src/profile/identity-rules.ts'
import { loadPeople } from './check-state.ts'
import type { NaivePartition } from './naive-log.ts'
import type { Scene } from './simulate.ts'
import { worldDocuments } from './world-documents.ts'

const hopCountMax = 64

export async function checkPeople(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  const { observer } = scene
  const { told, splitKeys } = readEvents(scene, partitions)
  const people = new Map((await loadPeople(scene)).map((person) => [person.key, person]))
  const isRefused = [...people.values()].some(({ refusals = [] }) =>
    refusals.some(({ reason }) => reason !== 'taken-out'),
  )
  const { leaders, groupOf } = foretellPeople(told)
  const isSplit = new Set(splitKeys.map(groupOf))
  for (const key of people.keys()) {
    let leader = key
    for (let hop = 0; hop <= hopCountMax; hop++) {
      const pointer = people.get(leader)?.pointer
      if (pointer === undefined) break
      if (hop === hopCountMax) observer.violate('identity', `pointers of ${key} do not end`)
      leader = pointer
    }
    const wanted = leaders.get(key)
    if (wanted === undefined || isRefused || isSplit.has(groupOf(key))) continue
    if (leader !== wanted) observer.violate('identity', `${key} is led by ${leader}, not ${wanted}`)
  }
}

function readEvents(
  scene: Scene,
  partitions: readonly NaivePartition[],
): {
  readonly told: readonly ToldEvent[]
  readonly splitKeys: readonly string[]
} {
  const rules = rulesOfWorld(scene)
  const splitKeys: string[] = []
  const told = partitions.flatMap(({ records }) => {
    let hasDefinitions = false
    return records.flatMap(({ record, isNewEvent }): readonly ToldEvent[] => {
      if (record.kind === 'definitions') hasDefinitions = true
      if (record.kind === 'identity-split') splitKeys.push(record.key)
      if (!isNewEvent) return []
      const event = JSON.parse(Buffer.from(record.body).toString()) as Event
      return [{ event, rules: hasDefinitions ? rules : defaultIdentityRules }]
    })
  })
  return { told, splitKeys }
}

function rulesOfWorld({ drawn }: Scene): ToldEvent['rules'] {
  const [document] = worldDocuments({ name: 'letter', html: '', subject: '', text: null }, drawn)
  const compiled = document && compileDefinitions(document, 'oracle')
  if (compiled?.kind !== 'compiled') throw new Error('the definitions of the world compile')
  return compiled.definitions.identity
}
