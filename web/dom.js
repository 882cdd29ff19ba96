/**
 * Makes elements, and writes times and numbers. Text is always set as text, so nothing sent can
 * become markup.
 */

/**
 * Returns an element: `make('p', { class: 'quiet' }, 'text', child)`. Functions among the
 * attributes are listeners.
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value)
    else if (value === true) element.setAttribute(key, '')
    else if (value !== false && value !== undefined) element.setAttribute(key, value)
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null))
  return element
}

export function byId(id) {
  return document.getElementById(id)
}

const clockForm = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

/** Time of day; with milliseconds where order matters. */
export function timeText(at, isExact = false) {
  const date = new Date(at)
  const text = clockForm.format(date)
  return isExact ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : text
}

export function dateTimeText(at) {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }).format(at)
}

export function countText(count) {
  return Number(count).toLocaleString('en')
}

/** A length of time in the unit that reads best. */
export function lengthText(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0))} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return ms < 86_400_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`
}

/** Answers the JSON of a path; throws with the reason that the server gave. */
export async function readJson(path, signal) {
  const headers = { accept: 'application/json' }
  const response = await fetch(path, { signal, headers }).catch((error) => {
    if (signal?.aborted) throw error
    throw new Error('The server does not answer. Is it still running?')
  })
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  throw new Error(body.detail ?? `The server answered ${response.status}.`)
}

/**
 * Makes a row of tabs over panels; arrow keys move between tabs. `tabs` is a list of
 * `{ id, label, show }`, where `show` fills and returns the panel's content once it is asked for.
 */
export function makeTabs(label, tabs, chosenId, onChoose) {
  const panel = make('div', { class: 'panel', role: 'tabpanel', id: 'tab-panel', tabindex: '0' })
  const buttons = tabs.map(({ id, label: text }) =>
    make(
      'button',
      { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': 'tab-panel' },
      text,
    ),
  )
  const choose = (index, isFocused) => {
    const tab = tabs[index]
    for (const [at, button] of buttons.entries()) {
      button.setAttribute('aria-selected', String(at === index))
      button.tabIndex = at === index ? 0 : -1
    }
    panel.setAttribute('aria-labelledby', `tab-${tab.id}`)
    panel.replaceChildren(tab.show())
    if (isFocused) buttons[index].focus()
    onChoose(tab.id)
  }
  for (const [index, button] of buttons.entries()) {
    button.addEventListener('click', () => choose(index, false))
    button.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
      if (step !== undefined) choose((index + step + tabs.length) % tabs.length, true)
    })
  }
  const row = make('div', { class: 'tabs', role: 'tablist', 'aria-label': label }, buttons)
  choose(
    Math.max(
      0,
      tabs.findIndex(({ id }) => id === chosenId),
    ),
    false,
  )
  return { row, panel }
}
