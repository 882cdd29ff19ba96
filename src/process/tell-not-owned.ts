import type { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'

/**
 * Says why a partition is not owned, as loudly as it is odd. Returns what to report of a partition
 * that cannot be owned by anybody.
 */
export function tellNotOwned(
  logger: Logger,
  error: OperatingError,
  given: { readonly partition: number; readonly isWanted: boolean },
): { readonly offset: number; readonly says: string } | undefined {
  const { code, message, remedy } = error
  const { partition, isWanted } = given
  const fields = { code, partition, cause: message, remedy }
  if (code !== 'OWNER_FENCED') {
    logger.error(fields, 'not owned')
    return { offset: 0, says: message }
  }
  if (isWanted) logger.warn(fields, 'not owned: another took it')
  // It was to be given up anyway, and the next owner did not wait for the end of that.
  else logger.info(fields, 'not owned: the next owner has it')
  return undefined
}
