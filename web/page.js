/**
 * The page of `attune dev`: asks once a second for new emails and figures, opens an email with its
 * evidence, and follows the events. It has no key; the server lets it read a few things only.
 */

import { byId, countText, lengthText, readJson } from './dom.js'
import { followEvents } from './events.js'
import { showEvidence } from './evidence.js'
import { createInbox } from './inbox.js'
import { showMail, showNoMail, showWaiting } from './mail.js'

const pollMs = 1000
/** The server is asked less often where it does not answer. */
const pollMsMax = 5000

const phases = {
  starting: () => 'Starting',
  history: ({ history }) => {
    if (history === undefined) return 'Reading the catalog'
    const { orderCount, orderTotal } = history
    return `Reading history: ${countText(orderCount)} of ${countText(orderTotal)} orders`
  },
  folding: () => 'Building profiles from history',
  shoppers: () => 'Shoppers are in the shop',
  waiting: () => 'Waiting for your events',
}

let opening = new AbortController()
let hasOpened = false

async function openMail(entry) {
  opening.abort()
  hasOpened = true
  opening = new AbortController()
  const { signal } = opening
  showView('mail')
  byId('mail').setAttribute('aria-busy', 'true')
  try {
    const mail = await readJson(`/demo/mail/${entry.index}.json`, signal)
    showMail(mail, entry)
    await showEvidence(mail, signal)
  } catch (error) {
    if (!signal.aborted) showNoMail(`The email could not be opened. ${error.message}`, true)
  } finally {
    if (!signal.aborted) byId('mail').removeAttribute('aria-busy')
  }
}

/** On a narrow screen one part is shown at a time. */
function showView(view) {
  document.querySelector('main').dataset.view = view
  for (const button of document.querySelectorAll('.views button')) {
    button.setAttribute('aria-pressed', String(button.dataset.view === view))
  }
}

function setFigure(name, text, isBad = false) {
  const place = document.querySelector(`[data-figure="${name}"]`)
  if (place.textContent !== text) place.textContent = text
  place.classList.toggle('bad', isBad)
}

function showFigures({ count, handOverP50Ms, figures }) {
  const { status } = figures
  setFigure('phase', (phases[figures.phase] ?? phases.starting)(figures))
  setFigure('mails', countText(count))
  setFigure('delay', handOverP50Ms === null ? '-' : lengthText(handOverP50Ms))
  if (status === undefined) return
  setFigure('events', countText(status.counts.applied ?? 0))
  setFigure('people', countText(status.counts.people ?? 0))
  const stopped = status.health.partitions.stopped.length
  if (stopped > 0) setFigure('lag', `${stopped} partitions stopped`, true)
  else setFigure('lag', status.lagCount === 0 ? 'none' : `${countText(status.lagCount)} records`)
}

async function poll(inbox) {
  let waitMs = pollMs
  for (;;) {
    try {
      const answer = await readJson(`/demo/inbox.json?after=${inbox.newestIndex()}`)
      showFigures(answer)
      if (!hasOpened) showWaiting(answer.figures)
      inbox.add(answer.mails, answer.count, answer.figures.phase)
      waitMs = pollMs
    } catch {
      setFigure('phase', 'The server does not answer; trying again', true)
      waitMs = Math.min(pollMsMax, waitMs * 2)
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

for (const button of document.querySelectorAll('.views button')) {
  button.addEventListener('click', () => showView(button.dataset.view))
}
showNoMail('Waiting for the server.')
// On a wide screen the first email opens by itself; on a phone the list is what one comes for.
const isWide = window.matchMedia('(min-width: 900px)').matches
const inbox = createInbox({ onOpen: openMail, opensFirst: isWide })
followEvents({ onOpenMessage: inbox.openMessage })
void poll(inbox)
