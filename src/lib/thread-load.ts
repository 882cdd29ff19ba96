/**
 * Tells how busy the main thread of this process is, and how long it stood ready while all cores
 * were taken, to whichever thread asks.
 *
 * Linux alone, from `/proc/<process>/task/<thread>/schedstat`: ns on a core, ns ready without one,
 * see "Documentation/scheduler/sched-stats.rst" of the kernel. The main thread has the id of the
 * process. The file stays open: one read is 2 us, and brings up a running thread's time to a few
 * ms.
 */

import { closeSync, openSync, readSync } from 'node:fs'
import { ownThreadId } from './thread-niceness.ts'

/** Since the start of the thread, in ms. */
export interface ThreadLoad {
  readonly ranMs: number
  /** Ready to run, with no core to run on. */
  readonly waitedMs: number
}

export interface ThreadLoadReader {
  /** Undefined where the system does not tell. */
  read(): ThreadLoad | undefined
  close(): void
}

const nsOfMs = 1e6
const textBytesMax = 128

export function openMainThreadLoad(): ThreadLoadReader {
  const file = openOrUndefined()
  const bytes = Buffer.alloc(textBytesMax)
  return {
    read() {
      if (file === undefined) return undefined
      const length = readSync(file, bytes, 0, textBytesMax, 0)
      return parseThreadLoad(bytes.toString('latin1', 0, length))
    },
    close() {
      if (file !== undefined) closeSync(file)
    },
  }
}

/** Returns undefined for a text that is no such file's: a sandbox may show an empty one. */
export function parseThreadLoad(text: string): ThreadLoad | undefined {
  const found = /^(\d+) (\d+) \d+\n?$/.exec(text)
  if (found === null) return undefined
  return { ranMs: Number(found[1]) / nsOfMs, waitedMs: Number(found[2]) / nsOfMs }
}

function openOrUndefined(): number | undefined {
  // A /proc of another namespace would tell of somebody else's thread.
  if (ownThreadId() === undefined) return undefined
  try {
    return openSync(`/proc/${process.pid}/task/${process.pid}/schedstat`, 'r')
  } catch {
    // A kernel without these counts, or a sandbox: nothing is known, and nobody gives way.
    return undefined
  }
}
