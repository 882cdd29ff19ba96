import { defaultEventLimits } from '../event/event-limits.ts'
import type { OptionTable } from '../lib/option.ts'
import type { CollectorOptions } from './collect-batch.ts'
import type { ItemStampOptions } from './item-stamp.ts'

/** The operator's options of the collector; `config.ts` joins them with the others. */
export const collectTable = {
  'collect.eventBytesMax': {
    kind: 'integer',
    default: 32_768,
    min: 1_024,
    max: 1_048_576,
    unit: 'bytes',
    says: 'Size of one event; a larger one is rejected and kept.',
  },
  'collect.batchBytesMax': {
    kind: 'integer',
    default: 524_288,
    min: 1_024,
    max: 16_777_216,
    unit: 'bytes',
    says: 'Size of one request; a larger one is answered 413.',
  },
  'collect.batchCountMax': {
    kind: 'integer',
    default: 2_500,
    min: 1,
    max: 100_000,
    says: 'Events in one request.',
  },
  'collect.sourceEventsPerSecondMax': {
    kind: 'integer',
    min: 1,
    max: 10_000_000,
    unit: 'events per second',
    says: 'Rate of one source on this process, where its definition names none; above it 429.',
  },
  'collect.bodyBytesInFlightMax': {
    kind: 'integer',
    default: 67_108_864,
    min: 1_048_576,
    max: 4_294_967_296,
    unit: 'bytes',
    says: 'Bodies being read or not yet durable, of all requests; above it intake answers 429.',
  },
  'collect.lagMsMax': {
    kind: 'durationMs',
    default: 60_000,
    min: 1_000,
    max: 86_400_000,
    says: 'Lag of the fold at which intake answers 429.',
  },
  'collect.stampAgeMsMax': {
    kind: 'durationMs',
    default: 10_000,
    min: 0,
    max: 600_000,
    says: 'Age of what the catalog says of items that is stamped into events; 0 for no stamps.',
  },
  'collect.stampWaitMsMax': {
    kind: 'durationMs',
    default: 20,
    min: 0,
    max: 5_000,
    says: 'Longest that a request waits for the catalog; its events are then not stamped.',
  },
} as const satisfies OptionTable

export const defaultCollectorOptions: CollectorOptions = {
  workspace: 'default',
  limits: defaultEventLimits,
  batchCountMax: 2_500,
  batchContextBytesMax: 4 * 1024,
  rejectedBytesMax: 64 * 1024,
}

export const defaultStampOptions: ItemStampOptions = {
  ageMsMax: 10_000,
  waitMsMax: 20,
  cacheCountMax: 50_000,
  readCountMax: 2_000,
  pauseMs: 1_000,
}

export interface CollectHttpOptions {
  /** Most bytes of a body as sent, compressed or not, of a single event and of a batch. */
  readonly singleBytesMax: number
  readonly batchBytesMax: number
  /** Most bytes of a body behind its decompression. */
  readonly inflatedBytesMax: number
  /** Bytes of all bodies being read or appended; above it requests are answered 429. */
  readonly bodyBytesInFlightMax: number
  /** Where the server is reached from outside; put into the settings that browsers load. */
  readonly publicUrl?: string
}

export const defaultCollectHttpOptions: CollectHttpOptions = {
  singleBytesMax: 32 * 1024,
  batchBytesMax: 512 * 1024,
  inflatedBytesMax: 2 * 1024 * 1024,
  bodyBytesInFlightMax: 64 * 1024 * 1024,
}

/**
 * For `http.createServer`: what keeps slow clients from holding sockets. Node checks them every
 * second.
 */
export const collectServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 1_000,
} as const
