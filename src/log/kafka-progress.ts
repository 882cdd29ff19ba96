/**
 * Tells the consumer group how far its partitions are folded, for tools that watch a group's lag:
 * autoscalers, exporters, `kafka-consumer-groups.sh`. Nothing of Attune ever reads it, since places
 * are in the state; what cannot be told now is told at the next time, or by the next owner.
 */

import { offsetCommitV8 } from '@platformatic/kafka'
import type { KafkaCluster } from './kafka-cluster.ts'

/** A member of the group as its coordinator knows it. */
export interface GroupMember {
  readonly coordinator: number
  readonly memberId: string
  readonly generation: number
}

export class KafkaProgress {
  readonly #cluster: KafkaCluster
  readonly #groupId: string
  readonly #folded = new Map<number, number>()
  readonly #told = new Map<number, number>()

  constructor(cluster: KafkaCluster, groupId: string) {
    this.#cluster = cluster
    this.#groupId = groupId
  }

  note(partition: number, offset: number): void {
    this.#folded.set(partition, offset)
  }

  /** Tells what is news of these partitions. Rejects where the coordinator does not take it. */
  async tell(member: GroupMember, partitions: readonly number[]): Promise<void> {
    const news = partitions.flatMap((partition) => {
      const offset = this.#folded.get(partition)
      const isNew = offset !== undefined && offset !== this.#told.get(partition)
      return isNew ? [{ partition, offset }] : []
    })
    if (news.length === 0) return
    const wishes = news.map(({ partition, offset }) => ({
      partitionIndex: partition,
      // Ours is Kafka's and one: that of the next record, which is what a group's offset says.
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
    }))
    const topics = [{ name: this.#cluster.topic, partitions: wishes }]
    const { coordinator, memberId, generation } = member
    await this.#cluster.call('ask', coordinator, (connection, callback) =>
      offsetCommitV8.api(connection, this.#groupId, generation, memberId, null, topics, callback),
    )
    for (const { partition, offset } of news) this.#told.set(partition, offset)
  }

  /** Another may have told since: all is news again. */
  forget(): void {
    this.#told.clear()
  }
}
