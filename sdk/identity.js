/**
 * Who a page is about: the anonymous id of this browser, and the user id once known.
 *
 * Ids are read anew for every call, so that a login or logout in one tab is seen by all. The user
 * id is kept beside the anonymous id it came with: where another subdomain has begun a new person,
 * the old name does not stick to them.
 */

/**
 * @typedef {object} Identity
 * @property {() => string} anonymousId Made where there is none.
 * @property {() => string | undefined} userId
 * @property {(userId: string) => void} login
 * @property {() => void} forget
 */

const userName = 'attune.u'

/**
 * @param {import('./storage.js').Storage} storage
 * @returns {Identity}
 */
export function createIdentity(storage) {
  /** The id that this page has already kept for another year. */
  let renewed = ''

  const anonymousId = () => {
    const id = storage.recall('a') ?? makeId()
    if (id !== renewed) storage.persist('a', id)
    renewed = id
    return id
  }

  return {
    anonymousId,
    userId() {
      const [owner, ...user] = storage.get(userName)?.split(' ') ?? []
      return owner === anonymousId() ? user.join(' ') : undefined
    },
    login: (userId) => storage.set(userName, `${anonymousId()} ${userId}`),
    forget() {
      renewed = ''
      storage.forget('a')
      storage.remove(userName)
    },
  }
}

/** Returns 128 random bits as four numbers. `randomUUID` is missing from pages without https. */
export function makeId() {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
