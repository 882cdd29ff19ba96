/**
 * Whether anything may be kept or sent. What is called before the person has chosen waits here, in
 * memory, and is done in its order once consent is granted: on this page, in another tab, or on
 * another subdomain.
 */

/** Calls that wait; later ones are not kept. */
const waitingCountMax = 100

/**
 * @typedef {object} Consent
 * @property {() => string} choice `granted`, `withdrawn`, or '' where none was made yet.
 * @property {() => boolean} isGranted
 * @property {(work: () => void) => void} whenGranted
 * @property {(word: 'granted' | 'withdrawn') => void} choose
 */

/**
 * @param {import('./storage.js').Storage} storage
 * @param {import('./attune-browser.d.ts').AttuneOptions} options
 * @returns {Consent}
 */
export function createConsent(storage, { consent, globalPrivacyControl }) {
  const isPrivate =
    globalPrivacyControl !== 'ignore' && Reflect.get(navigator, 'globalPrivacyControl') === true
  /** @type {(() => void)[]} */
  const waiting = []

  const choice = () =>
    isPrivate ? 'withdrawn' : (storage.recall('c') ?? (consent === 'required' ? '' : 'granted'))

  const isGranted = () => choice() === 'granted'

  const settle = () => {
    if (choice() === 'withdrawn') waiting.length = 0
    if (isGranted()) for (const work of waiting.splice(0)) work()
  }
  addEventListener('storage', settle)

  return {
    choice,
    isGranted,
    whenGranted(work) {
      if (waiting.length < waitingCountMax) waiting.push(work)
      settle()
    },
    choose(word) {
      if (!isPrivate) storage.persist('c', word)
      settle()
    },
  }
}
