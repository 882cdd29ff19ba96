/**
 * Preloaded into each test file's process: property tests draw their inputs from one seed, so that
 * what passed once passes again, and a red run is the fault of the change it is about.
 * `ATTUNE_TEST_SEED=N npm test` draws others, to look for what the usual one does not show.
 */

import { isMainThread } from 'node:worker_threads'

const given = process.env['ATTUNE_TEST_SEED'] ?? '1'
const seed = Number(given)
if (!Number.isSafeInteger(seed)) {
  throw new Error(`ATTUNE_TEST_SEED must be a whole number, and is ${JSON.stringify(given)}`)
}
// Threads of what is tested inherit this too: they draw nothing, and some have little memory.
if (isMainThread) {
  const { default: fc } = await import('fast-check')
  fc.configureGlobal({ seed })
}
