import { byId, countText, dateTimeText, make, makeTabs } from './dom.js'

/** The tab and the width that were chosen last stay for the next email. */
let tabId = 'html'
let width = 'desktop'

/** Shows one email: as it looks, its text part, its headers, its source. */
export function showMail(mail, entry) {
  delete byId('mail').dataset.phase
  const tabs = makeTabs(
    'Forms of the email',
    [
      { id: 'html', label: 'HTML', show: () => showHtml(mail) },
      {
        id: 'text',
        label: 'Text',
        show: () => showText(mail.text, 'This email has no text part.'),
      },
      { id: 'headers', label: 'Headers', show: () => showHeaders(mail) },
      { id: 'source', label: 'Source', show: () => showSource(mail) },
    ],
    tabId,
    (id) => {
      tabId = id
      widths.hidden = id !== 'html'
    },
  )
  byId('mail').replaceChildren(
    make(
      'div',
      { class: 'head' },
      make('h2', { id: 'mail-subject' }, mail.subject === '' ? '(no subject)' : mail.subject),
      make(
        'p',
        {},
        make('span', {}, 'to ', make('b', {}, mail.envelopeTo.join(', '))),
        make('span', {}, dateTimeText(mail.receivedAtMs)),
        make('span', {}, `${countText(Math.ceil(mail.bytes / 1024))} KB`),
        entry.campaign === undefined
          ? undefined
          : make('span', { class: `tag ${entry.campaign}` }, entry.campaign),
      ),
    ),
    make('div', { class: 'bar' }, tabs.row, widths),
    tabs.panel,
  )
}

export function showNoMail(says, isFault = false) {
  byId('mail').replaceChildren(
    make('div', { class: 'head' }, make('h2', { id: 'mail-subject' }, 'Email')),
    make(
      'p',
      { class: isFault ? 'empty bad' : 'empty', ...(isFault ? { role: 'alert' } : {}) },
      says,
    ),
  )
}

const steps = [
  ['history', 'The catalog and a year of real orders are read as history. They trigger nothing.'],
  ['shoppers', 'Simulated shoppers browse, leave their baskets or buy.'],
  ['emails', 'Seconds later their emails arrive, each with the evidence of why it was sent.'],
]

/** What is going on before the first email; the same elements as long as the phase is the same. */
export function showWaiting({ phase, history }) {
  const place = byId('mail')
  if (phase === 'waiting') {
    if (place.dataset.phase !== phase)
      showNoMail('Send events with the write key. Emails come here.')
    place.dataset.phase = phase
    return
  }
  if (place.dataset.phase !== phase) {
    const now = phase === 'shoppers' ? 'shoppers' : 'history'
    const items = steps.map(([name, text]) =>
      make('li', name === now ? { 'aria-current': 'step' } : {}, text),
    )
    showNoMail('')
    place.lastElementChild.replaceWith(
      make('ol', { class: 'steps' }, items),
      make('progress', { 'aria-label': 'Orders read', max: '1', hidden: now !== 'history' }),
    )
    place.dataset.phase = phase
  }
  const bar = place.querySelector('progress')
  if (history === undefined) bar.removeAttribute('value')
  else bar.value = history.orderCount / history.orderTotal
}

const widths = make(
  'div',
  { class: 'widths', role: 'group', 'aria-label': 'Width' },
  ['desktop', 'phone'].map((name) =>
    make(
      'button',
      { type: 'button', 'aria-pressed': String(name === width), click: () => chooseWidth(name) },
      name === 'phone' ? 'Phone' : 'Desktop',
    ),
  ),
)

function chooseWidth(name) {
  width = name
  for (const [index, button] of [...widths.children].entries()) {
    button.setAttribute('aria-pressed', String((index === 1) === (name === 'phone')))
  }
  const frame = document.querySelector('.paper')
  if (frame !== null) frame.dataset.width = name
}

/** No scripts, no forms, nothing of this page: the server sets the email's own policy as well. */
function showHtml(mail) {
  if (!mail.hasHtml) return make('p', { class: 'empty' }, 'This email has no HTML part.')
  const frame = make('iframe', {
    src: `/demo/mail/${mail.index}.html`,
    sandbox: 'allow-popups allow-popups-to-escape-sandbox',
    referrerpolicy: 'no-referrer',
    title: `The email as it looks: ${mail.subject}`,
  })
  return make('div', { class: 'paper', 'data-width': width }, frame)
}

function showText(text, otherwise) {
  return text === '' ? make('p', { class: 'empty' }, otherwise) : make('pre', {}, text)
}

function showHeaders(mail) {
  return make(
    'dl',
    { class: 'pairs' },
    mail.headers.map(({ name, value }) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, value)),
    ),
  )
}

function showSource(mail) {
  const place = make('pre', {}, 'Loading')
  fetch(`/demo/mail/${mail.index}.eml`)
    .then((response) => response.text())
    .then((text) => {
      place.textContent = text
    })
    .catch(() => {
      place.textContent = 'The source could not be read.'
    })
  return place
}
