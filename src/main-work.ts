/**
 * Thread of the owner: folds all partitions, and delivers beside the fold. The state's file is
 * written here alone.
 *
 * The main thread calls `start`, `render`, `waitCommitted`, `health` and `stop`; it is told
 * `definitions` and `failed`.
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { duePrefix } from './campaign/message.ts'
import type { DeliveryOptions } from './delivery/delivery.ts'
import { openSmtpMailer, type SmtpMailerOptions } from './delivery/smtp-mailer.ts'
import { assert } from './lib/assert.ts'
import { nextTurn, systemClock } from './lib/clock.ts'
import { OperatingError } from './lib/errors.ts'
import { createFailpoint } from './lib/failpoint.ts'
import { createPortCaller, servePort } from './lib/port-call.ts'
import { systemRandom } from './lib/random.ts'
import type { EventLog, Place } from './log/event-log.ts'
import { openSqliteEventLog } from './log/sqlite-event-log.ts'
import { createOwnerMeter } from './monitor/owner-measures.ts'
import { createCommitWaiter } from './process/commit-waiter.ts'
import { withFailpoints } from './process/failpoint-ports.ts'
import { createFreshness } from './process/freshness.ts'
import type { Published } from './process/processor.ts'
import type { ProcessorOptions } from './process/processor-options.ts'
import { type AdvisorPort, runWorker } from './process/worker.ts'
import { openSqliteBlobStore } from './state/sqlite-blob-store.ts'
import { openSqliteStateStore } from './state/sqlite-state-store.ts'
import type { StateStore } from './state/state-store.ts'
import type { SigningKeys } from './template/links.ts'
import { openRenderPool, type RenderPoolOptions } from './template/render-pool.ts'
import type { RenderInput } from './template/template.ts'

export interface WorkWorkerData {
  readonly dataDir: string
  readonly partitionCount: number
  /** Only in tests, see `lib/failpoint.ts`. */
  readonly failpoint?: string | undefined
  readonly logPort: MessagePort
  readonly advisorPort: MessagePort
  readonly freshness: SharedArrayBuffer
  readonly processor: ProcessorOptions
  readonly render: RenderPoolOptions
  readonly signingKeys: SigningKeys
  /** Absent where the server was started without what is needed to send. */
  readonly sending?: {
    readonly smtp: SmtpMailerOptions
    readonly delivery: DeliveryOptions
  }
}

async function run(data: WorkWorkerData): Promise<void> {
  assert(parentPort !== null, 'main-work runs as a worker')
  const main = createPortCaller(parentPort)
  const { dataDir, partitionCount } = data
  const store = await openSqliteStateStore({ dataDir })
  const blobs = await openSqliteBlobStore({ dataDir })
  const log = await openSqliteEventLog({ dataDir, stream: 'events', port: data.logPort })
  const meter = createOwnerMeter(systemClock)
  const renderer = meter.measureRenderer(await openRenderPool(data.render, data.signingKeys))
  const state = meter.measureState(store)
  const mailer = data.sending && meter.measureMailer(await openSmtpMailer(data.sending.smtp))
  const waiter = createCommitWaiter(systemClock)
  const stop = new AbortController()
  const onCommitted = (published: Published): void => {
    waiter.committed(published.partition, published.offset)
    meter.committed(published)
    for (const effect of published.effects) {
      if (effect.kind === 'definitions-changed' && published.partition === 0) {
        main.tell('definitions', effect.hash)
      }
    }
  }
  const say = (level: string) => (fields: Record<string, unknown>, event: string) =>
    main.tell('log', { level, fields, event })
  const ports = { log, state, ...(mailer === undefined ? {} : { mailer }) }
  const isArmed = data.failpoint !== undefined
  const worker = runWorker(
    {
      ...(isArmed ? withFailpoints(ports, createFailpoint(data.failpoint)) : ports),
      blobs,
      renderer,
      advisor: connectAdvisor(data.advisorPort),
      nextTurn,
      clock: systemClock,
      random: systemRandom,
      logger: { info: say('info'), warn: say('warn'), error: say('error') },
      freshness: createFreshness(data.freshness),
      onCommitted,
      reportStopped: (partition, stopped) => main.tell('stopped', { partition, stopped }),
    },
    { processor: data.processor, delivery: data.sending?.delivery ?? noDelivery },
    stop.signal,
  )
  worker.catch((error: unknown) => {
    const code = error instanceof OperatingError ? error.code : 'STORE_IO'
    main.tell('failed', {
      code,
      says: error instanceof Error ? (error.stack ?? '') : String(error),
    })
  })
  servePort(parentPort, {
    render: (input: RenderInput) => renderer.render(input),
    waitCommitted: (asked: { places: readonly Place[]; msMax: number }) =>
      waiter.wait(asked.places, asked.msMax),
    counts: async () => ({
      lagCount: await countLag(log, state),
      messagesWaiting: await countDue(state, partitionCount),
    }),
    measures: () => meter.take(),
    stop: async () => {
      stop.abort()
      await worker
      await renderer.close()
      await mailer?.close()
      await log.close()
      await state.close()
      await blobs.close()
      data.advisorPort.close()
    },
  })
  main.tell('opened')
}

/** Counts records that are in the log and not in the state. Offsets of this log have no gaps. */
async function countLag(log: EventLog, state: StateStore): Promise<number> {
  let count = 0
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const { offset } = await state.head(partition)
    count += (await log.end(partition)) - offset
  }
  return count
}

/** Counts messages that are due, up to a bound per partition. */
async function countDue(state: StateStore, partitionCount: number): Promise<number> {
  let count = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    count += (await state.scan(partition, duePrefix, '', dueCountMax)).length
  }
  return count
}

const dueCountMax = 10_000

const noDelivery: DeliveryOptions = {
  from: '',
  envelopeFrom: '',
  publicUrl: '',
  signingKeyId: '',
  addressSecret: new Uint8Array(0),
  staleWaitMs: 100,
  attemptCountMax: 1,
  queueCountMax: 1,
}

function connectAdvisor(port: MessagePort): AdvisorPort {
  const caller = createPortCaller(port)
  return {
    learn: (interactions) => caller.tell('learn', interactions),
    follow: (item) => caller.tell('follow', item),
    advise: (request) => caller.call('advise', request),
  }
}

await run(workerData as WorkWorkerData)
