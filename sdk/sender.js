/**
 * Sends the queue to the collector, one request at a time.
 *
 * Guarantee: an event is taken out only when the collector says that it is durable, or that it will
 * never take it. An answer that gets lost makes a repeat, which the server drops by its id. One tab
 * sends for all: a lock of the browser keeps the others from sending the same.
 *
 * Order of effects: read, send, wait for the answer, take out. What is called in one task goes out
 * together; what is called while a request is under way goes out in the next.
 *
 * At the end of a page what it has not sent yet goes out at once, without the lock: the browser
 * carries the request (`keepalive`) behind the page's end.
 */

import { createPace } from './pace.js'
import { bodyBytesMax, bytesOf } from './queue.js'

const batchCountMax = 50
/** Longest wait for an answer, and for the other tabs. */
const answerMsMax = 15_000
const lockMsMax = 30_000
/**
 * Tabs run in processes of their own, which hear of each other's changes a little later: who gave
 * the lock away at once would see the next tab send again what was just taken out.
 */
const quietMs = 25
const quietCountMax = 4
/** What will be answered the same however often it is sent. */
const finalStatuses = [400, 401, 403, 413]

/**
 * @typedef {object} SenderDeps
 * @property {import('./queue.js').Queue} queue
 * @property {import('./storage.js').Storage} storage
 * @property {() => boolean} isAllowed Asked before every request.
 */

/**
 * @param {SenderDeps} deps
 * @param {{ host: string, writeKey: string }} options
 * @returns {() => void} Sends soon what is in the queue.
 */
export function createSender({ queue, storage, isAllowed }, options) {
  const pace = createPace(storage)
  /** @type {Set<string>} */
  const underWay = new Set()
  let isRunning = false
  let batchCount = batchCountMax
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer

  /** Returns the oldest that may go now and fit into one body. */
  const nextNames = (isEnd = false) => {
    if (!isAllowed() || pace.waitMs()) return []
    const isFree = (/** @type {string} */ name) =>
      !underWay.has(name) && (!isEnd || queue.isOwn(name))
    const names = queue.list().filter(isFree).slice(0, batchCount)
    let bytes = 0
    const over = names.findIndex((name) => {
      bytes += bytesOf(queue.read(name))
      return bytes > bodyBytesMax
    })
    return over < 0 ? names : names.slice(0, over)
  }

  /** @param {readonly string[]} names */
  const post = async (names) => {
    for (const name of names) underWay.add(name)
    const answer = await request(options, names.map(queue.read).filter(Boolean))
    for (const name of names) underWay.delete(name)
    const isFinal = finalStatuses.includes(answer?.status ?? 0)
    if (isFinal && names.length > 1) {
      // One of them is at fault, and takes no other along.
      batchCount = names.length >> 1
    } else if (answer?.ok || isFinal) {
      queue.remove(names, isFinal ? 'refused' : undefined)
      batchCount = Math.min(batchCount * 2, batchCountMax)
      pace.succeed()
    } else {
      pace.fail(answer)
    }
  }

  const sendAll = async () => {
    for (let quietCount = 0; quietCount < quietCountMax; quietCount++) {
      const names = nextNames()
      if (names.length) {
        quietCount = -1
        await post(names)
      } else {
        await new Promise((resolve) => setTimeout(resolve, quietMs))
      }
    }
  }

  const run = async () => {
    if (isRunning) return
    isRunning = true
    try {
      const signal = AbortSignal.timeout(lockMsMax)
      await navigator.locks.request('attune', { signal }, sendAll)
    } catch {
      // No https, no locks; or a frozen tab holds it. The server drops what comes twice.
      await sendAll()
    }
    isRunning = false
    if (pace.waitMs() || nextNames().length) wake(pace.waitMs())
  }

  const wake = (delayMs = 0) => {
    clearTimeout(timer)
    timer = setTimeout(run, delayMs)
  }

  addEventListener('online', () => {
    pace.hurry()
    wake()
  })
  addEventListener('pageshow', () => wake())
  addEventListener('pagehide', () => {
    // Of this page only: those of other tabs are in their hands, or are kept.
    const names = nextNames(true)
    if (names.length) void post(names).then(() => wake())
  })
  return wake
}

/**
 * Resolves with the answer, or nothing where none came. The body is text/plain with the write key
 * inside, so that a browser asks no permission first (no preflight): at the end of a page there is
 * time for one request.
 *
 * @param {{ host: string, writeKey: string }} options
 * @param {readonly string[]} events
 */
async function request({ host, writeKey }, events) {
  const head = JSON.stringify({ writeKey, sentAt: new Date() }).slice(0, -1)
  try {
    const answer = await fetch(`${host}/v1/b`, {
      method: 'POST',
      body: `${head},"batch":[${events}]}`,
      keepalive: true,
      credentials: 'omit',
      signal: AbortSignal.timeout(answerMsMax),
    })
    // To its end: until then the browser counts the request among the 64 KiB that it carries.
    await answer.text()
    return answer
  } catch {
    return undefined
  }
}
