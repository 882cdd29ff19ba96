/** What the load process is asked to do, and what it answers. */

/** Digits that differ from request to request, at a fixed place of the bytes. */
export interface Digits {
  readonly at: number
  readonly count: number
  readonly kind: 'event' | 'user' | 'item'
}

/** One request, written once; before each sending only its digits are set. */
export interface RequestTemplate {
  readonly bytes: Uint8Array
  readonly digits: readonly Digits[]
}

export interface LoadPlan {
  readonly port: number
  readonly connectionCount: number
  /** Taken in turn by each connection. */
  readonly requests: readonly RequestTemplate[]
  readonly userCount: number
  readonly itemCount: number
  /** Event ids count from here; runs on one server must not overlap. */
  readonly firstEvent: number
  /** Answers in this time at the start are not counted. */
  readonly warmUpMs: number
  /** One of the two ends the run. */
  readonly durationMs?: number
  readonly requestCountMax?: number
  /** Open loop: requests leave at this rate, whether or not others were answered. */
  readonly ratePerSecond?: number
}

export interface LoadReport {
  /** Answers counted, by status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly okCount: number
  readonly seconds: number
  /** From the instant at which the request was to leave. */
  readonly latencyMs: {
    readonly p50: number
    readonly p90: number
    readonly p99: number
    readonly max: number
  }
  readonly nextEvent: number
  /** All requests, those of the warm-up included. */
  readonly sentCount: number
  /** Share of one core that the load process itself took. */
  readonly cpuShare: number
  /** Ms from the start to the first answer 429. */
  readonly firstRefusedMs?: number
  readonly errorCount: number
}
