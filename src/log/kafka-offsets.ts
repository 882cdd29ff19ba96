/**
 * Asks brokers where partitions begin and end. Questions of one moment go as one request to each
 * broker; an answer is never older than its question.
 */

import { listOffsetsV7 } from '@platformatic/kafka'
import { createBatcher } from '../lib/batcher.ts'
import { OperatingError } from '../lib/errors.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { errorOfName, kafkaErrorName, toOperatingError } from './kafka-error.ts'

type Answer = number | OperatingError

const times = { end: -1n, start: -2n } as const
const askedCountMax = 100_000

/** Returns what asks for one end of a partition, as Kafka's offset. */
export function createOffsetAsker(
  cluster: KafkaCluster,
  which: keyof typeof times,
  msMax: number,
): (partition: number) => Promise<number> {
  const ask = createBatcher<number, Answer>(
    (partitions) => askAll(cluster, times[which], partitions),
    askedCountMax,
  )
  return (partition) =>
    cluster.retry(`ask for the ${which} of partition ${partition}`, msMax, async () => {
      const answer = await ask(partition)
      if (answer instanceof OperatingError) throw answer
      return answer
    })
}

async function askAll(
  cluster: KafkaCluster,
  time: bigint,
  asked: readonly number[],
): Promise<readonly Answer[]> {
  const answers = new Map<number, Answer>()
  const byNode = Map.groupBy(new Set(asked), (partition) => cluster.leaderOf(partition) ?? -1)
  const asks = [...byNode].map(async ([node, partitions]) => {
    const attempted = `ask broker ${node} for ends`
    try {
      const answer = await askBroker(cluster, node, time, partitions)
      for (const { partitionIndex, errorCode, offset } of answer.topics[0]?.partitions ?? []) {
        const name = kafkaErrorName(errorCode)
        const isWell = name === 'NONE'
        answers.set(partitionIndex, isWell ? Number(offset) : errorOfName(name, attempted))
      }
    } catch (error) {
      const ours = toOperatingError(error, attempted)
      for (const partition of partitions) answers.set(partition, ours)
    }
  })
  await Promise.all(asks)
  const missing = new OperatingError('STORE_UNREACHABLE', 'ask for ends')
  return asked.map((partition) => answers.get(partition) ?? missing)
}

async function askBroker(
  cluster: KafkaCluster,
  node: number,
  time: bigint,
  partitions: readonly number[],
): Promise<listOffsetsV7.ListOffsetsResponse> {
  const wishes = partitions.map((partitionIndex) => {
    return { partitionIndex, currentLeaderEpoch: -1, timestamp: time }
  })
  const topics = [{ name: cluster.topic, partitions: wishes }]
  try {
    return await cluster.call('ask', node, (connection, callback) =>
      listOffsetsV7.api(connection, -1, 0, topics, callback),
    )
  } catch (error) {
    // An error of one partition comes with the answers of the others.
    const answer = (error as { response?: listOffsetsV7.ListOffsetsResponse } | undefined)?.response
    if (answer === undefined) throw error
    return answer
  }
}
