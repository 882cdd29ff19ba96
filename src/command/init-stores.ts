/** Makes what servers on other technologies than files need: topics, streams, tables, secrets. */

import type { ServerValues } from '../config.ts'
import type { Random } from '../lib/random.ts'
import { logStreams } from '../log/sqlite-log-file.ts'
import { initSecrets } from './data-dir.ts'
import type { StoreDeps } from './open-stores.ts'
import { storeOptionsOf, streamOf, topicOf } from './store-options.ts'

/** Makes what is missing, and checks what is there. Repeating it changes nothing. */
export async function initStores(
  deps: StoreDeps & { readonly random: Random },
  values: ServerValues,
): Promise<void> {
  const { log, state } = storeOptionsOf(values)
  await initSecrets(values['server.dataDir'], deps.random)
  if (log.kind === 'kafka') {
    const { initKafkaTopics } = await import('../log/kafka-topic.ts')
    const topics = logStreams.map((stream) => topicOf(log.prefix, stream))
    await initKafkaTopics(
      { ...log.kafka, topics },
      {
        partitionCount: values['log.partitionCount'],
        replicationFactor: values['kafka.replicationFactor'],
        minInSyncReplicas: values['kafka.minInSyncReplicas'],
      },
    )
  }
  if (log.kind === 'kinesis') {
    const { initKinesisStreams } = await import('../log/kinesis-init.ts')
    const streams = logStreams.map((stream) => streamOf(log.prefix, stream))
    await initKinesisStreams(
      deps,
      { ...log.kinesis, streams },
      {
        partitionCount: values['log.partitionCount'],
        shardCount: values['kinesis.shardCount'],
      },
    )
  }
  if (state.kind === 'dynamodb' || state.kind === 'dynamodb-redis') {
    const { initDynamodbTables } = await import('../state/dynamodb-tables.ts')
    await initDynamodbTables(deps, state.dynamodb)
  }
}
