import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Owned } from './ownership.ts'
import type { Stopped } from './partition-fold.ts'

interface TellDeps {
  readonly logger: Logger
  reportStopped(
    partition: number,
    stopped?: { readonly offset: number; readonly says: string },
  ): void
}

/** Tells once that a partition stands still, and once that it goes on. */
export function tellStanding(deps: TellDeps, owned: Owned): void {
  const { stopped, partition } = owned.fold
  if ((stopped !== undefined) === owned.isStopKnown) return
  owned.isStopKnown = stopped !== undefined
  if (stopped === undefined) deps.reportStopped(partition)
  else deps.reportStopped(partition, tellStopped(deps.logger, partition, stopped))
}

/**
 * Says that a partition stands still before a record, and what to do. Where the record is right and
 * the world lacks something, such as definitions that the side store has lost, that is what to
 * mend: who skipped the record would lose what it says.
 */
export function tellStopped(
  logger: Logger,
  partition: number,
  { offset, cause }: Pick<Stopped, 'offset' | 'cause'>,
): { readonly offset: number; readonly says: string } {
  const says = cause instanceof Error ? cause.message : String(cause)
  const attempted = `fold partition ${partition} at offset ${offset}: ${says}`
  const error = new OperatingError('FOLD_POISONED', attempted, cause)
  const { remedy } = cause instanceof OperatingError ? cause : error
  logger.error({ code: error.code, partition, offset, cause: says, remedy }, 'stopped')
  return { offset, says }
}
