export interface ProcessorOptions {
  readonly workspace: string
  readonly batchCountMax: number
  /** How long one round may fold before it commits. */
  readonly batchMsMax: number
  /** How often the owner writes its time while records arrive. */
  readonly tickMs: number
  /** How often it confirms freshness while nothing arrives. */
  readonly idleMs: number
  /** How long a former owner may take to release a partition; 0 where no other process can own. */
  readonly handOverMsMax: number
  /** How long versions of people are kept; 0 for not at all. It goes into the log. */
  readonly historyMs: number
  /** People that one record evaluates by new rules, in the background. */
  readonly continuePeopleCountMax: number
  /** Partitions folded side by side: more than one where a read of the state is waited for. */
  readonly sideBySideCount: number
}

export const processorDefaults: ProcessorOptions = {
  workspace: 'default',
  batchCountMax: 1000,
  batchMsMax: 20,
  tickMs: 15_000,
  idleMs: 100,
  handOverMsMax: 0,
  historyMs: 90 * 24 * 3_600_000,
  continuePeopleCountMax: 200,
  sideBySideCount: 1,
}
