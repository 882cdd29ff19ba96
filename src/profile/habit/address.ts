/** What a touch takes from the address of a page. */

export interface Address {
  /** Without `www.`. */
  readonly host: string
  readonly path: string
  /** With its question mark; empty where there is none. */
  readonly query: string
}

/**
 * Of which `URL` changes nothing: a name whose last label is of letters, so that it is no number;
 * a path of characters that stand for themselves. Most addresses are like this, and parsing takes
 * several times as long.
 */
const plainForm = /^https?:\/\/((?:[a-z0-9-]+\.)+[a-z]{2,})(\/[\w~/.-]*)?(\?[!"$-~]*)?$/

/** Undefined also for what is no page of the web, as `$direct`. */
export function parseAddress(text: string): Address | undefined {
  const plain = plainForm.exec(text)
  const [, name = '', path = '/', query = ''] = plain ?? []
  // `.` and `..` stand for other paths.
  if (plain !== null && !path.includes('/.')) {
    return { host: hostOf(name), path, query }
  }
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return undefined
  return { host: hostOf(url.hostname), path: url.pathname, query: url.search }
}

function hostOf(name: string): string {
  return name.startsWith('www.') ? name.slice(4) : name
}
