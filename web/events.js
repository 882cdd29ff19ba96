import { byId, make, timeText } from './dom.js'

const rowCountMax = 250
/** Records drawn at a time; while history is read, far more come than anybody could see. */
const drawCountMax = 60
const drawMs = 200
const messageKinds = new Set(['result', 'outcome', 'suppress'])

/** Follows events and what becomes of emails, newest first, until the page is closed. */
export function followEvents({ onOpenMessage }) {
  const body = byId('events')
  const pauseButton = byId('events-pause')
  const kindPick = byId('events-kind')
  const filter = byId('events-filter')
  const rows = []
  let waiting = []
  let missedCount = 0
  let isPaused = false

  const isShown = ({ record, text }) => {
    const kind = messageKinds.has(record.kind) ? 'message' : record.kind
    if (kindPick.value !== '' && kind !== kindPick.value) return false
    return text.includes(filter.value.trim().toLowerCase())
  }
  const showMatching = () => {
    for (const row of rows) row.element.hidden = !isShown(row)
    const isEmpty = rows.every(({ element }) => element.hidden)
    byId('events-empty').hidden = !isEmpty
    byId('events-empty').textContent =
      rows.length === 0 ? 'Nothing has come yet.' : 'Nothing matches the filter.'
  }
  const showState = () => {
    const held = waiting.length > 0 ? `, ${waiting.length} held` : ''
    const missed = missedCount > 0 ? `, ${missedCount.toLocaleString('en')} not shown` : ''
    byId('events-state').textContent = isHeld()
      ? `${isPaused ? 'Paused' : 'Held while you point at it'}${held}`
      : `Live${missed}`
  }
  // Rows must not move away under the pointer.
  const isHeld = () => isPaused || body.matches(':hover')
  const draw = () => {
    if (isHeld()) {
      missedCount += Math.max(0, waiting.length - rowCountMax)
      waiting = waiting.slice(-rowCountMax)
    } else if (waiting.length > 0) {
      missedCount += Math.max(0, waiting.length - drawCountMax)
      const fresh = waiting
        .slice(-drawCountMax)
        .sort((left, right) => right.at.localeCompare(left.at))
        .map((record) => makeRow(record, onOpenMessage))
      waiting = []
      rows.unshift(...fresh)
      body.prepend(...fresh.map(({ element }) => element))
      for (const { element } of rows.splice(rowCountMax)) element.remove()
      showMatching()
    }
    if (byId('events-state').dataset.isOpen === 'true') showState()
  }

  pauseButton.addEventListener('click', () => {
    isPaused = !isPaused
    pauseButton.setAttribute('aria-pressed', String(isPaused))
    pauseButton.textContent = isPaused ? 'Go on' : 'Pause'
    draw()
  })
  kindPick.addEventListener('change', showMatching)
  filter.addEventListener('input', showMatching)
  setInterval(draw, drawMs)

  const stream = new EventSource(
    '/demo/events?kind=event,rejected,membership,result,outcome,suppress',
  )
  stream.addEventListener('record', ({ data }) => waiting.push(JSON.parse(data)))
  stream.addEventListener('missed', ({ data }) => {
    missedCount += JSON.parse(data).count
  })
  const setOpen = (isOpen) => {
    byId('events-state').dataset.isOpen = String(isOpen)
    byId('events-state').textContent = isOpen ? 'Live' : 'Connecting'
  }
  stream.addEventListener('open', () => setOpen(true))
  stream.addEventListener('error', () => setOpen(false))
}

function makeRow(record, onOpenMessage) {
  const { what, person, source, detail, className } = describe(record)
  const { messageId } = record
  const canOpen = record.kind === 'result' && record.name === 'accepted'
  const shown = canOpen
    ? make(
        'button',
        { type: 'button', class: 'open', click: () => onOpenMessage(messageId) },
        'open the email',
      )
    : detail
  const element = make(
    'tr',
    { class: className },
    make('td', {}, make('time', { class: 'at', datetime: record.at }, timeText(record.at, true))),
    [what, person, source].map((text) => make('td', { title: text }, text)),
    make('td', { title: detail }, shown),
  )
  const text = `${what} ${person} ${source} ${detail}`.toLowerCase()
  return { record, element, text }
}

function describe(record) {
  const { kind, name, key, source = '', isBackfill } = record
  const person = personText(key)
  if (kind === 'rejected') {
    const where = record.path === '' ? '' : ` at ${record.path}`
    const detail = `${record.reason}${where}`
    return { what: 'Rejected', person: '', source: name, detail, className: 'rejected' }
  }
  if (kind === 'event') {
    const place = `partition ${record.partition}, offset ${record.offset}`
    const detail = isBackfill ? `${place}, of the past` : place
    return { what: name, person, source, detail, className: '' }
  }
  if (kind === 'membership') {
    const what = record.change === 'entered' ? 'Entered a segment' : 'Left a segment'
    return { what, person, source: '', detail: name, className: 'membership' }
  }
  const what = { result: 'Email', outcome: 'Email', suppress: 'Suppressed' }[kind] ?? kind
  return {
    what: `${what} ${name}`.trim(),
    person,
    source: '',
    detail: record.messageId ?? '',
    className: 'message',
  }
}

/** Identity keys begin with what they are; a browser that is not known yet is said to be one. */
function personText(key) {
  if (key.startsWith('user:')) return key.slice(5)
  if (key.startsWith('anonymous:')) return `${key.slice(10)} (not known yet)`
  return key.startsWith('address:') ? 'an address' : key
}
