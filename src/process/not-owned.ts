/** What a processor says of partitions that it wants and does not own, and until when. */

import type { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Assignment } from './assignment.ts'

export interface NotOwnedDeps {
  readonly logger: Logger
  reportStopped(
    partition: number,
    stopped?: { readonly offset: number; readonly says: string },
  ): void
}

export class NotOwned {
  readonly #deps: NotOwnedDeps
  /** Partitions that nobody can own as it is; all were reported as stopped. */
  readonly #reported = new Set<number>()

  constructor(deps: NotOwnedDeps) {
    this.#deps = deps
  }

  /**
   * Says why a partition is not owned, as loudly as it is odd. One that cannot be owned by anybody
   * is reported as stopped: no other process is better off with it.
   */
  tell(
    error: OperatingError,
    given: { readonly partition: number; readonly isWanted: boolean },
  ): void {
    const { logger } = this.#deps
    const { code, message, remedy } = error
    const { partition, isWanted } = given
    const fields = { code, partition, cause: message, remedy }
    if (code !== 'OWNER_FENCED') {
      logger.error(fields, 'not owned')
      this.#reported.add(partition)
      this.#deps.reportStopped(partition, { offset: 0, says: message })
    } else if (isWanted) logger.warn(fields, 'not owned: another took it')
    // It was to be given up anyway, and the next owner did not wait for the end of that.
    else logger.info(fields, 'not owned: the next owner has it')
  }

  /** Takes a report back: the partition is owned. */
  end(partition: number): void {
    if (this.#reported.delete(partition)) this.#deps.reportStopped(partition)
  }

  /** Takes back what was reported of partitions that are others' now. */
  endUnwanted(assignment: Assignment): void {
    for (const partition of this.#reported) {
      if (!assignment.isWanted(partition)) this.end(partition)
    }
  }
}
