/**
 * Attune in a browser: what a page calls.
 *
 * Guarantee: where consent is required, nothing is stored and nothing leaves before it is granted.
 * After a withdrawal ids, queue and waiting calls are gone. A browser that says Global Privacy
 * Control gets neither ids nor requests, unless an option says that this shop is not concerned.
 *
 * A call never throws into the page: what cannot be written as JSON is dropped, and the page told.
 */

import { createConsent } from './consent.js'
import { readContext } from './context.js'
import { createEcommerce } from './ecommerce.js'
import { createIdentity } from './identity.js'
import { createQueue } from './queue.js'
import { createSender } from './sender.js'
import { createStorage } from './storage.js'

/**
 * @param {import('./attune-browser.d.ts').AttuneOptions} options
 * @returns {import('./attune-browser.d.ts').Attune}
 */
export function createAttune(options) {
  const storage = createStorage(options.cookieDomain)
  const identity = createIdentity(storage)
  const queue = createQueue(storage, options.writeKey)
  const consent = createConsent(storage, options)
  const isAllowed = consent.isGranted
  const wake = createSender({ queue, storage, isAllowed }, options)

  /** @param {string} type @param {object} fields */
  const call = (type, fields) => {
    const atMs = (options.now ?? Date.now)()
    /** @type {{ userId?: string }} */
    let event
    try {
      // Copied at once: the page may change its objects before they are sent.
      const written = { type, ...fields, timestamp: new Date(atMs), context: readContext() }
      event = JSON.parse(JSON.stringify(written))
    } catch {
      return queue.remove([''], 'unreadable')
    }
    consent.whenGranted(() => {
      if (type === 'identify' && event.userId) identity.login(event.userId)
      const ids = { anonymousId: identity.anonymousId(), userId: identity.userId() }
      queue.add({ ...ids, ...event }, atMs)
      wake()
    })
  }

  /** @param {string} event @param {object} [properties] */
  const track = (event, properties) => call('track', { event, properties })

  const forgetAll = () => {
    queue.remove(queue.list())
    identity.forget()
  }

  wake()
  if (consent.choice() === 'withdrawn') forgetAll()
  return {
    ...createEcommerce(track),
    track,
    page: (name, properties) =>
      call('page', { name, properties: { ...readContext().page, ...properties } }),
    /** @param {unknown} user @param {object} [traits] */
    identify(user, traits) {
      const isNamed = typeof user === 'string' || typeof user === 'number'
      call('identify', isNamed ? { userId: `${user}`, traits } : { traits: user })
    },
    group: (groupId, traits) => call('group', { groupId, traits }),
    alias: (userId, previousId) => call('alias', { userId, previousId }),
    reset: () => consent.whenGranted(identity.forget),
    grantConsent: () => consent.choose('granted'),
    withdrawConsent() {
      consent.choose('withdrawn')
      forgetAll()
    },
  }
}
