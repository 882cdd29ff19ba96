/** The circumstances of an event, as Segment's spec names them. */

const library = { name: 'attune-browser', version: '1.0.0' }

/** Returns them as they are now: a page of one application changes its address without loading. */
export function readContext() {
  const { origin, pathname: path, search } = location
  /** @type {Record<string, string>} */
  const campaign = {}
  for (const [name, value] of new URLSearchParams(search)) {
    if (!name.startsWith('utm_')) continue
    campaign[name === 'utm_campaign' ? 'name' : name.slice(4)] = value
  }
  return {
    page: {
      path,
      referrer: document.referrer,
      search,
      title: document.title,
      // Without what follows #: some applications keep secrets there.
      url: origin + path + search,
    },
    ...(Object.keys(campaign).length ? { campaign } : {}),
    locale: navigator.language,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    screen: { width: screen.width, height: screen.height, density: devicePixelRatio },
    library,
  }
}
