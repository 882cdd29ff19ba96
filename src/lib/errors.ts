/**
 * A broken world, as one class and one catalogue. A malformed event is not here: bad data is a
 * value. `retryable` says whether the same call may succeed later; `remedy` is what the operator
 * should do.
 */
export const catalog = {
  DISK_FULL: { retryable: true, remedy: 'Free disk space; intake resumes by itself.' },
  STORE_IO: {
    retryable: false,
    remedy: 'Check the disk, then start again; `attune check` tells what survived.',
  },
  STORE_STUCK: {
    retryable: false,
    remedy: 'The disk did not answer for 10 s. Check it, then start again.',
  },
  STORE_CORRUPT: {
    retryable: false,
    remedy: 'Set the file aside and run `attune rebuild`, or restore a backup.',
  },
  STORE_UNREACHABLE: {
    retryable: true,
    remedy:
      'Is the service running, and its address right? Work goes on by itself once it answers.',
  },
  STORE_MISCONFIGURED: {
    retryable: false,
    remedy: 'Mend the setting of the service that is named above, then start again.',
  },
  DATA_DIR_LOCKED: {
    retryable: false,
    remedy: 'Stop the other server first, or give another --data-dir.',
  },
  DATA_DIR_INVALID: {
    retryable: false,
    remedy: 'Give a directory made by `attune start` or `attune init`.',
  },
  DATA_DIR_VERSION: {
    retryable: false,
    remedy: 'Run the version of Attune that wrote this directory.',
  },
  LOG_OFFSET_LOST: {
    retryable: false,
    remedy: 'Run `attune rebuild` from a base that the log still covers.',
  },
  LOG_MISMATCH: {
    retryable: false,
    remedy: 'Log and state do not belong together: restore both, or run `attune rebuild`.',
  },
  RULES_DIFFER: {
    retryable: false,
    remedy:
      'Run `attune base --enter-rules` with this program while nothing owns the data; to rebuild ' +
      'what lies before, use the program that folded it, or a base behind the change.',
  },
  STATE_DIFFERS: {
    retryable: false,
    remedy: 'Keep a copy, look at `attune check`, and put a rebuilt state in its place.',
  },
  LOG_OVERLOADED: {
    retryable: true,
    remedy: 'The log takes less than is sent. Slow the sender or use a faster disk.',
  },
  OUTBOX_GAP: {
    retryable: false,
    remedy: 'A record between partitions is missing. Run `attune check`, then `attune rebuild`.',
  },
  OWNER_FENCED: {
    retryable: false,
    remedy: 'Another owner took the partition. Nothing to do if it was meant.',
  },
  FOLD_POISONED: {
    retryable: false,
    remedy: 'Look at the record with `attune events`, then `attune skip` it with a reason.',
  },
  INDEX_FAILED: {
    retryable: false,
    remedy:
      'Start again: the index is read from its snapshot and the feed. If it ends again, delete ' +
      'recommend-index.snapshot in the data directory first.',
  },
  INDEX_SILENT: {
    retryable: true,
    remedy: 'Nothing to do while the index fills after a start; else look at the load.',
  },
  THREAD_ENDED: {
    retryable: true,
    remedy: 'Nothing to do: the process ends too, and says why. It is to be started again.',
  },
  BLOB_MISSING: {
    retryable: false,
    remedy:
      'The side store lacks a body that the log names: restore it from a backup, or start with ' +
      'the folder of the definitions, or upload the list again; then start again.',
  },
  BLOB_TOO_LARGE: {
    retryable: false,
    remedy: 'Make the definitions or the email smaller: one body holds at most 16 MiB.',
  },
  CONFIG_INVALID: { retryable: false, remedy: 'Mend the settings named above.' },
  DEFINITIONS_INVALID: {
    retryable: false,
    remedy: 'Mend the files named above; `attune validate DIR` checks them.',
  },
  PORT_BUSY: { retryable: false, remedy: 'Give another --port, or stop what listens there.' },
  SERVER_UNREACHABLE: {
    retryable: true,
    remedy: 'Is the server running? Start it with `attune start`.',
  },
  SERVER_REFUSED: {
    retryable: false,
    remedy: 'Mend what is named above: the key, its scope (`attune keys`), or what is asked.',
  },
  INPUT_UNREADABLE: {
    retryable: false,
    remedy: 'Is the file there, readable and whole? What was read before stays imported.',
  },
  INPUT_CHANGED: {
    retryable: false,
    remedy: 'Give the input that was begun with, or --again to import this one from its start.',
  },
} as const satisfies Record<string, { retryable: boolean; remedy: string }>

export type ErrorCode = keyof typeof catalog

export class OperatingError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly remedy: string

  /** `attempted` says what was tried and on what, without personal data. */
  constructor(code: ErrorCode, attempted: string, cause?: unknown) {
    super(attempted, cause === undefined ? undefined : { cause })
    this.name = 'OperatingError'
    this.code = code
    this.retryable = catalog[code].retryable
    this.remedy = catalog[code].remedy
  }
}

/** Tells whether trying again later may help. Total: answers false for anything unknown. */
export function isRetryable(error: unknown): boolean {
  return error instanceof OperatingError && error.retryable
}
