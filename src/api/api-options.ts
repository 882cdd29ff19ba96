import { totalmem } from 'node:os'
import type { OptionTable } from '../lib/option.ts'

/** The operator's options of the API; `config.ts` joins them with the others. */
export const apiTable = {
  'api.profileCacheBytesMax': {
    kind: 'integer',
    min: 0,
    max: 17_179_869_184,
    unit: 'bytes',
    says:
      'Profiles kept as they were answered, until they change. By default a 32nd of the memory ' +
      'of the machine or container, and at most 268435456.',
  },
} as const satisfies OptionTable

const profileCacheBytesMax = 256 * 1024 * 1024
const profileCacheShare = 1 / 32

/** Returns the bound where none is set: what a small machine can spare; a large one has enough. */
export function profileCacheBytesDefault(memoryBytes: number = usableMemoryBytes()): number {
  return Math.min(profileCacheBytesMax, Math.floor(memoryBytes * profileCacheShare))
}

/** Of the container, where it has a limit below what the machine has. */
function usableMemoryBytes(): number {
  const limitBytes = process.constrainedMemory()
  return limitBytes === 0 ? totalmem() : Math.min(totalmem(), limitBytes)
}

/** Limits of the API, each with its unit. */
export interface ApiOptions {
  /** Whether only whoever watches the process is answered. */
  readonly isHealthOnly: boolean
  /** Most bytes of a request's body, and of one that brings items. */
  readonly bodyBytesMax: number
  readonly itemsBodyBytesMax: number
  /** Time for a client to send its whole request. */
  readonly requestTimeoutMs: number
  /** How long an answer waits for the fold to commit what was appended. */
  readonly commitMsMax: number
  /** Outcomes (opened, clicked) being appended; above it they are dropped and logged. */
  readonly outcomeCountMax: number
  /** Clients that follow the event stream at a time. */
  readonly streamClientCountMax: number
  /** Bytes that wait for one client of the stream; above it records are missed, and it is told. */
  readonly streamBytesMax: number
  /**
   * How often the stream looks for new records at most, and how many of a partition it then shows.
   */
  readonly streamPauseMs: number
  readonly streamCountMax: number
}

export const apiDefaults: ApiOptions = {
  isHealthOnly: false,
  bodyBytesMax: 256 * 1024,
  itemsBodyBytesMax: 4 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  commitMsMax: 5_000,
  outcomeCountMax: 10_000,
  streamClientCountMax: 32,
  streamBytesMax: 256 * 1024,
  streamPauseMs: 50,
  streamCountMax: 50,
}
