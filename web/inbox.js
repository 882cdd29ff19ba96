import { byId, lengthText, make, timeText } from './dom.js'

/** Rows kept on the page; the server keeps more. */
const rowCountMax = 300

/**
 * The list of emails: newest first, filtered, opened by click or by the arrow keys. While somebody
 * points at it, moves in it by key or has scrolled it, new emails are held back and counted: a row
 * must not move away under the pointer.
 */
export function createInbox({ onOpen, opensFirst }) {
  const list = byId('inbox')
  const filter = byId('inbox-filter')
  const rows = []
  const newer = byId('inbox-newer')
  let held = []
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
    const row = makeRow(entry, () => open(row))
    rows.unshift(row)
    list.prepend(row.item)
    if (shouldOpen) {
      shouldOpen = false
      open(row)
    }
  }
  const isRead = () =>
    list.matches(':hover') || list.querySelector(':focus-visible') !== null || list.scrollTop > 4
  const showHeld = () => {
    const rowsBefore = rows.length
    for (const entry of held.splice(0)) addRow(entry)
    for (const { item } of rows.splice(rowCountMax)) item.remove()
    newer.hidden = true
    if (rows.length > rowsBefore) showMatching()
  }

  newer.addEventListener('click', () => {
    list.scrollTop = 0
    showHeld()
  })
  list.addEventListener('mouseleave', () => {
    if (!isRead()) showHeld()
  })
  filter.addEventListener('input', showMatching)
  list.addEventListener('keydown', moveFocus)

  const newestIndex = () => held.at(-1)?.index ?? rows[0]?.entry.index ?? -1

  return {
    openMessage(messageId) {
      showHeld()
      const row = rows.find(({ entry }) => entry.messageId === messageId)
      if (row !== undefined) open(row)
    },
    newestIndex,
    add(entries, count, phase) {
      if (count <= newestIndex()) {
        // The server was started again: its inbox begins anew.
        for (const { item } of rows.splice(0)) item.remove()
        held = []
      }
      held.push(...entries.toReversed())
      if (rows.length === 0 || !isRead()) showHeld()
      newer.hidden = held.length === 0
      newer.textContent = held.length === 1 ? '1 new email' : `${held.length} new emails`
      const isWaiting = rows.length === 0
      byId('inbox-empty').textContent = isWaiting ? waitingText(phase) : ''
      if (isWaiting) showMatching()
    },
  }
}

function makeRow(entry, onOpen) {
  const { subject, to, campaign = 'not a campaign', receivedAtMs, handOverMs } = entry
  const delay = handOverMs === undefined ? '' : `${lengthText(handOverMs)} after it was due`
  const button = make(
    'button',
    { type: 'button', class: 'row new', click: onOpen, 'data-index': entry.index },
    make('span', { class: 'subject' }, subject === '' ? '(no subject)' : subject),
    make(
      'span',
      { class: 'of' },
      make('span', { class: 'to' }, to),
      make('span', { class: 'tag' }, campaign),
      make('time', { title: delay }, timeText(receivedAtMs)),
    ),
  )
  const text = `${subject} ${to} ${campaign}`.toLowerCase()
  return { entry, button, item: make('li', {}, button), text }
}

function moveFocus(event) {
  const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key]
  if (step === undefined) return
  event.preventDefault()
  let item = event.target.closest('li')?.[step]
  while (item?.hidden) item = item[step]
  item?.querySelector('button').focus()
}

function waitingText(phase) {
  if (phase === 'shoppers') return 'Shoppers are in the shop. The first email follows in seconds.'
  if (phase === 'waiting') return 'No email yet. Emails of an earlier run are not kept.'
  return 'First the past is read: a year of real orders. Then shoppers come.'
}
