/**
 * Lets a thread give way to the others of the process where all cores are busy.
 *
 * Linux alone: there `setpriority` takes the id of a thread, and threads that the thread starts
 * later inherit what it has. Nobody may take it back without a privilege, so it is set once, at
 * the start of a thread.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/** Names the calling thread, as `<process>/task/<thread>`. */
const ownPath = '/proc/thread-self'
const threadsPath = '/proc/self/task'
/** V8 has a few of them, for all threads of the process: they collect, mark and compile. */
const helperName = 'V8Worker'

/**
 * Lowers the priority of the calling thread by `niceness` (0 to 19). Answers false, and does
 * nothing, where the system cannot do it for one thread.
 */
export function lowerOwnPriority(niceness: number): boolean {
  const thread = ownThreadId()
  if (niceness === 0 || thread === undefined) return false
  try {
    lower(thread, niceness)
    return true
  } catch {
    // A sandbox may refuse the call. The thread works as before.
    return false
  }
}

/**
 * Does the same for V8's helpers of this process. Most of what they do is to collect what the
 * threads with the largest heaps drop, so they give way as those do: otherwise a fold that is nice
 * takes cores from the others all the same. Returns how many were lowered.
 */
export function lowerHelperPriority(niceness: number): number {
  if (niceness === 0 || ownThreadId() === undefined) return 0
  try {
    const helpers = readdirSync(threadsPath).filter((thread) => nameOf(thread) === helperName)
    for (const thread of helpers) lower(Number(thread), niceness)
    return helpers.length
  } catch {
    return 0
  }
}

function lower(thread: number, niceness: number): void {
  setPriority(thread, Math.min(19, getPriority(thread) + niceness))
}

function nameOf(thread: string): string {
  return readFileSync(`${threadsPath}/${thread}/comm`, 'utf8').trim()
}

/** Returns the system's id of the calling thread; undefined where it has none that can be used. */
export function ownThreadId(): number | undefined {
  try {
    const [owner, , thread] = readlinkSync(ownPath).split('/')
    // A /proc of another namespace would name somebody else's thread.
    return owner === String(process.pid) ? Number(thread) : undefined
  } catch {
    return undefined
  }
}
