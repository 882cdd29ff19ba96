import { byId, lengthText, make, timeText } from './dom.js'

/** Rows kept on the page; the server keeps more. */
const rowCountMax = 300

/** The list of emails: newest first, filtered, opened by click or by the arrow keys. */
export function createInbox({ onOpen, opensFirst }) {
  const list = byId('inbox')
  const filter = byId('inbox-filter')
  const rows = []
  let chosen
  let shouldOpen = opensFirst

  const open = (row) => {
    chosen?.button.removeAttribute('aria-current')
    chosen = row
    row.button.scrollIntoView({ block: 'nearest' })
    row.button.setAttribute('aria-current', 'true')
    row.button.classList.remove('new')
    onOpen(row.entry)
  }
  const showMatching = () => {
    const words = filter.value.trim().toLowerCase()
    for (const row of rows) row.item.hidden = !row.text.includes(words)
    const isEmpty = rows.every(({ item }) => item.hidden)
    byId('inbox-empty').hidden = !isEmpty
    if (rows.length > 0 && isEmpty) byId('inbox-empty').textContent = 'No email matches the filter.'
  }
  const addRow = (entry) => {
    const { subject, to, campaign = 'not a campaign', receivedAtMs, handOverMs } = entry
    const delay = handOverMs === undefined ? '' : `${lengthText(handOverMs)} after it was due`
    const button = make(
      'button',
      { type: 'button', class: 'row new', click: () => open(row), 'data-index': entry.index },
      make('span', { class: 'subject' }, subject === '' ? '(no subject)' : subject),
      make(
        'span',
        { class: 'of' },
        make('span', { class: 'to' }, to),
        make('span', { class: 'tag' }, campaign),
        make('time', { title: delay }, timeText(receivedAtMs)),
      ),
    )
    const row = { entry, button, item: make('li', {}, button) }
    row.text = `${subject} ${to} ${campaign}`.toLowerCase()
    rows.unshift(row)
    list.prepend(row.item)
    if (shouldOpen) {
      shouldOpen = false
      open(row)
    }
  }

  filter.addEventListener('input', showMatching)
  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key]
    if (step === undefined) return
    event.preventDefault()
    let item = event.target.closest('li')?.[step]
    while (item?.hidden) item = item[step]
    item?.querySelector('button').focus()
  })

  return {
    openMessage(messageId) {
      const row = rows.find(({ entry }) => entry.messageId === messageId)
      if (row !== undefined) open(row)
    },
    newestIndex: () => rows[0]?.entry.index ?? -1,
    add(entries, count, phase) {
      if (count <= (rows[0]?.entry.index ?? -1)) {
        // The server was started again: its inbox begins anew.
        for (const { item } of rows.splice(0)) item.remove()
      }
      for (const entry of entries.toReversed()) addRow(entry)
      for (const { item } of rows.splice(rowCountMax)) item.remove()
      const isWaiting = rows.length === 0
      byId('inbox-empty').textContent = isWaiting ? waitingText(phase) : ''
      if (entries.length > 0 || isWaiting) showMatching()
    },
  }
}

function waitingText(phase) {
  if (phase === 'shoppers') return 'Shoppers are in the shop. The first email follows in seconds.'
  if (phase === 'waiting') return 'No email yet. Emails of an earlier run are not kept.'
  return 'First the past is read: a year of real orders. Then shoppers come.'
}
