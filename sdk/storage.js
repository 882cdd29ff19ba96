/**
 * What outlives a page: cookies and localStorage, or memory where the browser blocks or fills them.
 *
 * Guarantee: no call throws. A value that cannot be kept is kept for the life of the page. Each
 * event of the queue has a name of its own here, so that two tabs never read, change and write back
 * the same value: that is how they lose nothing of each other.
 */

const yearSeconds = 31_536_000

/**
 * @typedef {object} Storage
 * @property {(name: string) => string | undefined} get
 * @property {(name: string, value: string) => void} set
 * @property {(name: string) => void} remove
 * @property {(prefix: string) => string[]} names Those that begin with `prefix`, sorted.
 * @property {(name: string) => string | undefined} recall
 *   What was persisted. The cookie wins, since other subdomains may have changed it.
 * @property {(name: string, value: string) => void} persist
 *   Keeps a word of letters, digits and hyphens for a year, as a cookie too.
 * @property {(name: string) => void} forget
 */

/**
 * @param {string | undefined} cookieDomain
 * @returns {Storage}
 */
export function createStorage(cookieDomain) {
  /** @type {Map<string, string>} */
  const memory = new Map()

  /** @param {string} name */
  const get = (name) => memory.get(name) ?? attempt(() => localStorage.getItem(name) ?? undefined)

  /** @param {string} name @param {string} value */
  const set = (name, value) => {
    memory.set(name, value)
    attempt(() => {
      localStorage.setItem(name, value)
      memory.delete(name)
    })
  }

  /** @param {string} name */
  const remove = (name) => {
    memory.delete(name)
    attempt(() => localStorage.removeItem(name))
  }

  /** @param {string} name @param {string} value @param {number} seconds */
  const writeCookie = (name, value, seconds) => {
    const domain = cookieDomain ? `; Domain=${cookieDomain}` : ''
    const secure = location.protocol === 'https:' ? '; Secure' : ''
    const rules = `; Path=/; Max-Age=${seconds}; SameSite=Lax${domain}${secure}`
    attempt(() => {
      // biome-ignore lint/suspicious/noDocumentCookie: cookieStore is missing from older browsers
      document.cookie = `attune_${name}=${value}${rules}`
    })
  }

  return {
    get,
    set,
    remove,
    names: (prefix) =>
      [...memory.keys(), ...(attempt(() => Object.keys(localStorage)) ?? [])]
        .filter((name) => name.startsWith(prefix))
        .sort(),
    recall(name) {
      const pattern = new RegExp(`(?:^|; )attune_${name}=([\\w-]{1,100})`)
      const cookie = attempt(() => pattern.exec(document.cookie)?.[1])
      const kept = get(`attune.${name}`)
      if (cookie && cookie !== kept) set(`attune.${name}`, cookie)
      return cookie ?? kept
    },
    persist(name, value) {
      set(`attune.${name}`, value)
      writeCookie(name, value, yearSeconds)
    },
    forget(name) {
      remove(`attune.${name}`)
      writeCookie(name, '', 0)
    },
  }
}

/**
 * Returns what `work` does, or nothing where the browser forbids it: in a sandboxed frame, or with
 * cookies blocked, naming localStorage is enough to throw.
 *
 * @template Value
 * @param {() => Value} work
 * @returns {Value | undefined}
 */
function attempt(work) {
  try {
    return work()
  } catch {
    return undefined
  }
}
