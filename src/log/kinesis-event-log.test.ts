import { after, before, it } from 'node:test'
import { describeEventLog } from './event-log.contract.ts'
import { trimKinesisLog } from './kinesis-init.ts'
import {
  deps,
  isWorldMissing,
  type KinesisWorld,
  openLog,
  startKinesisWorld,
} from './kinesis-world.fixture.ts'

let world: KinesisWorld

if (isWorldMissing()) {
  it('keeps the promises of an event log in Kinesis', (t) => t.skip('a stand-in is not here'))
} else {
  before(async () => {
    world = await startKinesisWorld()
  })
  after(() => world.stop())
  describeEventLog(
    'kinesis',
    async (t) => {
      const options = await world.makeStream()
      return {
        log: await openLog(t, options),
        again: () => openLog(t, options),
        trim: (partition, through) => trimKinesisLog(deps, options, { partition, through }),
        tellsOffsets: false,
      }
    },
    'elsewhere',
  )
}
