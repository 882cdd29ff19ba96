import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { OpenSessions, type ProfileHash } from './open-sessions.ts'

const seed = 20_261_127

function makeProfiles(count: number): readonly ProfileHash[] {
  const random = createSeededRandom(seed)
  const draw = (): number => Math.floor((random.unit() - 0.5) * 2 ** 32) || 1
  return Array.from({ length: count }, () => ({ hash: draw(), mark: draw() }))
}

/** A table, and the sessions of all that were put into it. */
function open(bucketCountMax?: number) {
  const hashes = new Map<number, number>()
  const table = new OpenSessions((session) => hashes.get(session), bucketCountMax)
  const put = (profile: ProfileHash, session: number): void => {
    hashes.set(session, profile.hash)
    table.put(profile, session)
  }
  return { table, put, hashes }
}

describe('the sessions that profiles are in', () => {
  it('finds the newest of each, however many there are, also where numbers wrap around', () => {
    for (const first of [0, 2 ** 31 - 9_000]) {
      const { table, put } = open()
      const profiles = makeProfiles(20_000)
      profiles.forEach((profile, index) => {
        equal(table.find(profile), undefined)
        put(profile, (first + index) | 0)
      })
      profiles.slice(0, 500).forEach((profile, index) => {
        put(profile, (first + 20_000 + index) | 0)
      })
      profiles.forEach((profile, index) => {
        equal(table.find(profile), (first + index + (index < 500 ? 20_000 : 0)) | 0)
      })
    }
  })

  it('forgets who began first once it is full, and whose session is gone when it grows', () => {
    const { table, put } = open(128)
    const profiles = makeProfiles(4_000)
    profiles.forEach((profile, index) => {
      put(profile, index)
    })
    const found = profiles.map((profile) => table.find(profile) !== undefined)
    equal(found.filter((isFound) => isFound).length, 1_024, 'as many as there is room for')
    ok(found.slice(-256).filter((isFound) => isFound).length > 250)
    ok(found.slice(0, 2_000).filter((isFound) => isFound).length < 50)
    const growing = open()
    profiles.forEach((profile, index) => {
      growing.put(profile, index)
      if (index % 2 === 0) growing.hashes.delete(index)
    })
    const kept = profiles.filter((profile) => growing.table.find(profile) !== undefined).length
    ok(kept >= 2_000 && kept < 3_500, `${kept} of 4,000`)
  })

  it('forgets one profile and no other', () => {
    const { table, put } = open()
    const profiles = makeProfiles(200)
    profiles.forEach((profile, index) => {
      put(profile, index)
    })
    for (const profile of profiles.slice(0, 100)) table.forget(profile)
    profiles.forEach((profile, index) => {
      equal(table.find(profile), index < 100 ? undefined : index)
    })
  })
})
