/** What a topic is made with, and what is refused of one that others made: on three brokers. */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Admin, ConfigResourceTypes } from '@platformatic/kafka'
import type { Service } from '../../scripts/service.ts'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import type { KafkaClusterOptions } from './kafka-options.ts'
import { checkKafkaTopic, initKafkaTopics, type KafkaTopicShape } from './kafka-topic.ts'

const shape: KafkaTopicShape = { partitionCount: 2, replicationFactor: 3, minInSyncReplicas: 2 }
let kafka: Service | undefined

if (hasKafka()) {
  before(async () => {
    kafka = await startKafka(undefined, { brokers: 3 })
  })
  after(() => kafka?.stop())
  describe('a topic of a log', describeTopic)
} else {
  it('makes and checks the topic of a log', (t) => t.skip(kafkaIsMissing))
}

function optionsFor(topic: string): KafkaClusterOptions {
  return { brokers: kafka?.addresses ?? [], topic, clientId: 'attune-test' }
}

/** Makes a topic as `attune init` does, then sets what is given as an operator would. */
async function makeTopic(topic: string, settings: Readonly<Record<string, string>>): Promise<void> {
  await initKafkaTopics({ ...optionsFor(topic), topics: [topic] }, shape)
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
  await withAdmin((admin) =>
    admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: ConfigResourceTypes.TOPIC,
          resourceName: topic,
          configs: configs.map((each) => ({ ...each, configOperation: 0 })),
        },
      ],
      validateOnly: false,
    }),
  )
}

async function settingsOf(topic: string): Promise<ReadonlyMap<string, string | null | undefined>> {
  const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }]
  const [described] = await withAdmin((admin) => admin.describeConfigs({ resources }))
  return new Map(described?.configs.map(({ name, value }) => [name, value]))
}

async function withAdmin<Result>(act: (admin: Admin) => Promise<Result>): Promise<Result> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...(kafka?.addresses ?? [])] })
  return await act(admin).finally(() => admin.close())
}

function describeTopic(): void {
  it('is made to lose nothing that was acknowledged; making it again changes nothing', async () => {
    for (let time = 0; time < 2; time++) await makeTopic('made', {})
    const settings = await settingsOf('made')
    assert.equal(settings.get('unclean.leader.election.enable'), 'false')
    assert.equal(settings.get('min.insync.replicas'), '2')
    assert.equal(settings.get('retention.ms'), '-1')
    assert.equal(settings.get('cleanup.policy'), 'delete')
  })

  it('is refused where a copy that has missed records may lead', async () => {
    await makeTopic('unclean', { 'unclean.leader.election.enable': 'true' })
    await assert.rejects(checkKafkaTopic(optionsFor('unclean')), {
      code: 'STORE_MISCONFIGURED',
      message: /topic unclean: unclean\.leader\.election\.enable is true, not false$/,
    })
  })

  it('is refused where one disk may hold all of it, or one broker stops it', async () => {
    for (const count of [1, 3]) {
      const topic = `in-sync-${count}`
      await makeTopic(topic, { 'min.insync.replicas': String(count) })
      await assert.rejects(checkKafkaTopic(optionsFor(topic)), {
        code: 'STORE_MISCONFIGURED',
        message: new RegExp(
          `topic ${topic}: min\\.insync\\.replicas is ${count}, not 2 of 3 copies$`,
        ),
      })
    }
  })

  it('is refused in another shape than the one that is there: it says what differs', async () => {
    await makeTopic('shaped', {})
    const other = { partitionCount: 4, replicationFactor: 1, minInSyncReplicas: 1 }
    const options = { ...optionsFor('shaped'), topics: ['shaped'] }
    await assert.rejects(initKafkaTopics(options, other), {
      code: 'STORE_MISCONFIGURED',
      message:
        /it has 2 partitions, not 4 \(log\.partitionCount\); it has 3 copies of a record, not 1 /,
    })
    // A server takes the number of partitions from the topic: it is not refused.
    await checkKafkaTopic(optionsFor('shaped'))
    await initKafkaTopics(options, { partitionCount: 2 })
  })
}
