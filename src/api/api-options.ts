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
