/**
 * The log in a Kafka topic.
 *
 * The topic's id is the incarnation, its partitions are those of the log, and our offset is
 * Kafka's plus one. What is promised rests on the topic's settings, which are checked at open: an
 * append is acknowledged by all in-sync copies (`acks=all`, `min.insync.replicas`), and Kafka
 * deletes nothing by itself. Brokers write to disk later; an acknowledged record survives the loss
 * of a broker because others have it, so one copy alone does not survive a power cut.
 *
 * The value of a Kafka record is our encoded record, its key our key, its time `recordedAtMs`.
 */

import { OperatingError } from '../lib/errors.ts'
import { assignAll } from './assign-all.ts'
import type { EventLog, LogIdentity, Place } from './event-log.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { assignByGroup } from './kafka-group.ts'
import { type KafkaEventLogOptions, type KafkaLogDeps, kafkaDefaults } from './kafka-options.ts'
import { openProducer } from './kafka-producer.ts'
import { KafkaProgress } from './kafka-progress.ts'
import { KafkaReader } from './kafka-reader.ts'
import { checkKafkaTopic } from './kafka-topic.ts'
import { KafkaWriter } from './kafka-writer.ts'
import type { LogRecord, NewRecord } from './record.ts'

export interface KafkaLogMeasures {
  /** Batches sent again, or kept back, after a failure. */
  readonly retriedCount: number
  /** Connections opened anew because nothing came where more was there. */
  readonly reopenedCount: number
}

export interface KafkaEventLog extends EventLog {
  measures(): KafkaLogMeasures
}

/** Opens a log whose topic `initKafkaTopics` has made. Rejects where its settings would lose it. */
export async function openKafkaEventLog(
  deps: KafkaLogDeps,
  options: KafkaEventLogOptions,
): Promise<KafkaEventLog> {
  const readMsMax = options.readMsMax ?? kafkaDefaults.readMsMax
  const cluster = new KafkaCluster(deps.clock, options)
  try {
    await cluster.retry(`open topic ${options.topic}`, readMsMax, () => cluster.refresh())
    await checkKafkaTopic(options)
    const producerId = await cluster.retry('open a producer', readMsMax, () =>
      openProducer(cluster),
    )
    return createLog(deps, options, cluster, producerId)
  } catch (error) {
    await cluster.close()
    throw error
  }
}

function createLog(
  deps: KafkaLogDeps,
  options: KafkaEventLogOptions,
  cluster: KafkaCluster,
  producerId: bigint,
): KafkaEventLog {
  const set = { ...kafkaDefaults, ...options }
  const reader = new KafkaReader(deps, cluster, set)
  const writer = new KafkaWriter(deps, cluster, {
    ...set,
    producerId,
    onAppended: (partition, offset) => reader.raiseEnd(partition, offset),
  })
  const identity: LogIdentity = {
    incarnation: cluster.topicId,
    partitionCount: cluster.partitionCount,
  }
  const { groupId } = options
  const group =
    groupId === undefined ? undefined : { groupId, progress: new KafkaProgress(cluster, groupId) }
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await writer.close()
    cluster.end(new OperatingError('STORE_UNREACHABLE', 'use a log that is closed'))
    await reader.close()
    await cluster.close()
  }
  return {
    identity,
    async append(records: readonly NewRecord[]): Promise<readonly Place[]> {
      return writer.append(records)
    },
    read(partition, after, countMax): Promise<readonly LogRecord[]> {
      return reader.read(partition, after, countMax)
    },
    hasMore: (partition, after) => reader.hasMore(partition, after),
    wait: (partitions, after, signal) => reader.wait(partitions, after, signal),
    end: (partition) => reader.end(partition),
    start: (partition) => reader.start(partition),
    assign(signal) {
      if (group === undefined) return assignAll(identity.partitionCount, signal)
      return assignByGroup(deps, { ...set, ...group }, signal)
    },
    queueBytes: () => writer.queueBytes,
    noteFolded: (partition, offset) => group?.progress.note(partition, offset),
    close: () => (closing ??= close()),
    measures: () => ({
      retriedCount: writer.retriedCount,
      reopenedCount: reader.reopenedCount,
    }),
  }
}
