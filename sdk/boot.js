/**
 * Starts Attune in a page that loads it by a script tag: options are the tag's data attributes.
 *
 * Calls that the page made before stand in `attune.calls` with the time of each; they are made
 * again, as of then. A page that the browser makes ready in advance (prerendering) starts when it
 * is seen, if ever. A second tag on the same page does nothing.
 */

import { createAttune } from './attune.js'

const script = /** @type {HTMLScriptElement} */ (document.currentScript)
const { autoPage, ...options } = script.dataset

function start() {
  /** @type {{ calls?: [name: string, given: unknown[], atMs: number][] } | undefined} */
  const before = Reflect.get(window, 'attune')
  if (before && !before.calls) return
  /** @type {number | undefined} */
  let calledAtMs
  const host = script.src.split('/sdk/v1/')[0] ?? ''
  const now = () => calledAtMs ?? Date.now()
  const attune = createAttune({ host, writeKey: '', ...options, now })
  Reflect.set(window, 'attune', attune)
  if (autoPage !== undefined) attune.page()
  for (const [name, given, atMs] of before?.calls ?? []) {
    calledAtMs = atMs
    Reflect.get(attune, name)?.(...given)
  }
  calledAtMs = undefined
}

if (Reflect.get(document, 'prerendering')) document.addEventListener('prerenderingchange', start)
else start()
