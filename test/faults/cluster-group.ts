/** Looks at the group of workers as Kafka sees it. */

import type { TestContext } from 'node:test'
import { Admin } from '@platformatic/kafka'
import { systemClock } from '../../src/lib/clock.ts'

export interface GroupWatch {
  memberCount(): Promise<number>
  /**
   * Resolves when the group has so many members and is stable; tells when, by the monotonic clock.
   */
  untilMembers(count: number, msMax: number): Promise<number>
}

const lookMs = 30

export async function openGroupWatch(
  t: Pick<TestContext, 'after'>,
  brokers: readonly string[],
  groupId = 'attune',
): Promise<GroupWatch> {
  const admin = new Admin({ clientId: 'watch', bootstrapBrokers: [...brokers] })
  t.after(() => admin.close())
  const look = async (): Promise<{ readonly count: number; readonly state: string }> => {
    const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
    return { count: group?.members.size ?? 0, state: String(group?.state) }
  }
  await look()
  return {
    memberCount: async () => (await look()).count,
    async untilMembers(count, msMax) {
      const deadline = systemClock.monotonicMs() + msMax
      for (;;) {
        const seen = await look()
        const atMs = systemClock.monotonicMs()
        if (seen.count === count && /^stable$/i.test(seen.state)) return atMs
        if (atMs > deadline) throw new Error(`the group is ${JSON.stringify(seen)}`)
        await systemClock.sleep(lookMs)
      }
    },
  }
}
