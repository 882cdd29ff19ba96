/**
 * Shares partitions out among the owners that are alive, as a consumer group does: on each change
 * everybody hears of it, not at one instant, so that for a while a partition may have two owners or
 * none.
 */

import type { Random } from '../../src/lib/random.ts'
import type { OwnerProcess } from './owner-process.ts'
import type { Timeline } from './virtual-clock.ts'
import { partitionCount, secondMs } from './world-definitions.ts'

const hearMsMax = 3 * secondMs

interface Member {
  readonly process: OwnerProcess
  /** Newest sets that it has not taken yet; the last one counts. */
  partitions: readonly number[] | undefined
  wake: () => void
}

export class Sharing {
  readonly #timeline: Timeline
  readonly #random: Random
  #members: Member[] = []
  #round = 0

  constructor(timeline: Timeline, random: Random) {
    this.#timeline = timeline
    this.#random = random
  }

  async *join(process: OwnerProcess, signal: AbortSignal): AsyncGenerator<readonly number[]> {
    const member: Member = { process, partitions: undefined, wake: () => {} }
    this.#members.push(member)
    signal.addEventListener('abort', () => this.leave(process), { once: true })
    this.share()
    while (!signal.aborted) {
      const { partitions } = member
      member.partitions = undefined
      if (partitions === undefined) {
        await new Promise<void>((resolve) => {
          member.wake = resolve
        })
      } else {
        yield partitions
      }
    }
  }

  leave(process: OwnerProcess): void {
    const member = this.#members.find((each) => each.process === process)
    if (member === undefined) return
    this.#members = this.#members.filter((each) => each !== member)
    member.wake()
    this.share()
  }

  /** Deals the partitions out anew among those who are awake, from another one on each time. */
  share(): void {
    this.#round++
    const round = this.#round
    const awake = this.#members.filter(({ process }) => !process.isPaused && !process.isDead)
    for (const [index, member] of awake.entries()) {
      const partitions = Array.from({ length: partitionCount }, (_, each) => each).filter(
        (each) => (each + round) % awake.length === index,
      )
      void this.#tell(member, partitions, round)
    }
  }

  async #tell(member: Member, partitions: readonly number[], round: number): Promise<void> {
    await this.#timeline.sleep(hearMsMax * this.#random.unit())
    if (round !== this.#round) return
    member.partitions = partitions
    member.wake()
  }
}
