import { defaultEventLimits } from '../event/event-limits.ts'
import type { CollectorOptions } from './collect-batch.ts'

export const defaultCollectorOptions: CollectorOptions = {
  workspace: 'default',
  limits: defaultEventLimits,
  batchCountMax: 2_500,
  batchContextBytesMax: 4 * 1024,
  rejectedBytesMax: 64 * 1024,
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
