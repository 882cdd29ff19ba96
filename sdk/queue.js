/**
 * The events that no answer has confirmed yet, oldest first, shared by all tabs of the site.
 *
 * An event leaves by an answer, or is dropped with a reason that the page can hear
 * (`attune:drop`). Nothing else takes it out: it outlives a page change, a reload and a crash.
 */

import { makeId } from './identity.js'

/** Of all that waits, whichever comes first. localStorage holds some 5 MB for the whole site. */
const queueCountMax = 500
const queueUnitsMax = 500_000
/** Browsers carry at most 64 KiB behind the end of a page, in all requests together. */
export const bodyBytesMax = 60_000
/**
 * The server knows the ids of seven days. An event that is older may have arrived already, its
 * answer lost, and would count twice.
 */
const ageMsMax = 6 * 86_400_000

/**
 * @typedef {object} Queue
 * @property {(event: object, atMs: number) => void} add
 * @property {() => string[]} list Names, oldest first.
 * @property {(name: string) => string} read The event as JSON; '' where another tab took it out.
 * @property {(name: string) => boolean} isOwn Whether this page made it.
 * @property {(names: readonly string[], reason?: string) => void} remove
 *   With a reason the page is told.
 */

/**
 * @param {import('./storage.js').Storage} storage
 * @param {string} writeKey
 * @returns {Queue}
 */
export function createQueue(storage, writeKey) {
  const prefix = `attune.e.${writeKey}.`
  /** Tells the events of this page from those of other tabs, and makes their ids unique. */
  const page = makeId()
  let lastMs = 0

  /** @type {Queue['read']} */
  const read = (name) => storage.get(name) ?? ''

  /** @type {Queue['remove']} */
  const remove = (names, reason) => {
    for (const name of names) storage.remove(name)
    if (!reason || !names.length) return
    const messageIds = names.map((name) => name.slice(prefix.length))
    dispatchEvent(new CustomEvent('attune:drop', { detail: { reason, messageIds } }))
  }

  return {
    read,
    remove,
    isOwn: (name) => name.endsWith(page),
    add(event, atMs) {
      // Names sort by time, and within a tab never the other way round.
      lastMs = Math.max(atMs, lastMs + 1)
      const messageId = `${lastMs.toString(36)}-${page}`
      const text = JSON.stringify({ messageId, ...event })
      const name = prefix + messageId
      if (bytesOf(text) > bodyBytesMax) return remove([name], 'too-large')
      storage.set(name, text)
      const names = storage.names(prefix)
      let units = 0
      let count = 0
      // From the newest on: what an email says hangs on what was done last.
      for (const each of names.reverse()) {
        units += read(each).length
        if (units > queueUnitsMax || count >= queueCountMax) break
        count += 1
      }
      remove(names.slice(count), 'queue-full')
    },
    list() {
      const names = storage.names(prefix)
      const isOld = (/** @type {string} */ name) =>
        Date.now() - parseInt(name.slice(prefix.length), 36) > ageMsMax
      remove(names.filter(isOld), 'expired')
      return names.filter((name) => !isOld(name))
    },
  }
}

/** @param {string} text */
export function bytesOf(text) {
  return new TextEncoder().encode(text).length
}
