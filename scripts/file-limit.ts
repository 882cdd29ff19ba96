/**
 * Preloaded into each test file's process: ends it when it takes too long, for instance because a
 * handle was left open after the last test. Node's own time limit covers tests, and not what keeps
 * a file's process alive behind them.
 */

/** One test file may take this long; a file of fault tests starts and kills whole servers. */
const fileMsMax = process.argv[1]?.endsWith('.faults-test.ts') === true ? 900_000 : 600_000

if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  const fileMs = Number(process.env['ATTUNE_TEST_FILE_MS'] ?? fileMsMax)
  const end = (): void => {
    console.error(`${process.argv[1]}: still running after ${fileMs} ms; is a handle left open?`)
    process.exit(1)
  }
  // tidy-ignore: must not keep the process alive, which the system clock's timers do
  setTimeout(end, fileMs).unref()
}
