import { after, before, describe, type TestContext } from 'node:test'
import type { Service } from '../../scripts/service.ts'
import {
  dynamodbEnvironment,
  dynamodbIsMissing,
  hasDynamodb,
  startDynamodb,
} from '../../scripts/service-dynamodb.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { openDynamodbStateStore } from './dynamodb-state-store.ts'
import { initDynamodbTables } from './dynamodb-tables.ts'
import { describeStateStore } from './state-store.contract.ts'
import type { StateStore } from './state-store.ts'

const deps = { clock: systemClock, logger: silentLogger }
let service: Service
let tableCount = 0

describe('state in DynamoDB', { skip: hasDynamodb() ? false : dynamodbIsMissing }, () => {
  before(async () => {
    Object.assign(process.env, dynamodbEnvironment)
    service = await startDynamodb()
  })
  after(() => service.stop())

  describeStateStore('dynamodb', openStore)
})

async function openStore(t: TestContext): Promise<StateStore> {
  const options = {
    region: 'local',
    endpoint: `http://${service.addresses[0]}`,
    table: `state-${++tableCount}`,
    blobTable: `blob-${tableCount}`,
  }
  await initDynamodbTables(deps, options)
  const store = await openDynamodbStateStore(deps, options)
  t.after(() => store.close())
  return store
}
