import { initProducerIdV4 } from '@platformatic/kafka'
import type { KafkaCluster } from './kafka-cluster.ts'
import { errorOfName, kafkaErrorName } from './kafka-error.ts'

/** Returns an id under which brokers tell repeats of a batch. */
export async function openProducer(cluster: KafkaCluster): Promise<bigint> {
  const answer = await cluster.call<initProducerIdV4.InitProducerIdResponse>(
    'ask',
    undefined,
    (connection, callback) => initProducerIdV4.api(connection, null, 0, -1n, -1, callback),
  )
  const name = kafkaErrorName(answer.errorCode)
  if (name !== 'NONE') throw errorOfName(name, 'open a producer')
  return answer.producerId
}
