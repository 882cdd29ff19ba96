/**
 * Why an email was sent, in words: the trigger, the segments, how fresh the data was, why each
 * product, and what the mail server said. Below, the proof: the server renders it again from what
 * it stored and compares the bytes.
 */

import { byId, dateTimeText, lengthText, make, readJson, timeText } from './dom.js'

const reasonTexts = {
  'because-viewed': (item) => `because they looked at ${item}`,
  'because-carted': (item) => `because they put ${item} in the basket`,
  'because-bought': (item) => `because they bought ${item}`,
  'bought-together': (item) => `because it is bought together with ${item}`,
  'looked-at': () => 'because they looked at it',
  'bought-before': () => 'because they bought it before',
  alike: (item) => `because it is like ${item}`,
  trending: (_item, category) => `because it is popular now${category ? ` in ${category}` : ''}`,
  'viewed-not-bought': () => 'looked at, and not bought yet',
  pinned: () => 'pinned by a rule',
  'in-catalog': () => 'from the catalog',
}

const outcomeTexts = {
  opened: 'Opened: its pixel was loaded, here by this page.',
  clicked: 'A link was clicked.',
  unsubscribed: 'Unsubscribed. Nothing more of this topic is sent to this address.',
  bounced: 'Bounced.',
  complained: 'Reported as spam.',
}

/** An email is here a moment before the server has noted what it was made from. */
const askAgainMs = 500
const askCountMax = 240

export async function showEvidence(mail, signal) {
  const place = byId('evidence-body')
  if (mail.messageId === undefined) {
    return place.replaceChildren(note('This email was not sent by a campaign.'))
  }
  place.setAttribute('aria-busy', 'true')
  try {
    const path = `/demo/messages/${mail.messageId}/evidence`
    for (let count = 1; count <= askCountMax; count++) {
      const { message, evidence, stored } = await readJson(path, signal)
      if (evidence !== null) {
        return place.replaceChildren(...describe(mail, { message, evidence, stored }))
      }
      place.replaceChildren(note('Its evidence is not stored yet.'))
      await new Promise((resolve) => setTimeout(resolve, askAgainMs))
    }
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(note(error.message, true))
  } finally {
    if (!signal.aborted) place.removeAttribute('aria-busy')
  }
}

function note(says, isFault = false) {
  return make(
    'p',
    { class: isFault ? 'empty bad' : 'empty', role: isFault ? 'alert' : 'note' },
    says,
  )
}

function describe(mail, { message, evidence, stored }) {
  return [
    make(
      'ol',
      { class: 'story' },
      describeTrigger(message, evidence),
      describeHandOver(mail, message),
    ),
    describeProof(mail, evidence),
    describeRecommendations(evidence),
    describeProfile(evidence),
    describeSegments(evidence),
    describeVersions(evidence),
    make(
      'details',
      { class: 'json' },
      make('summary', {}, 'As JSON'),
      make('pre', { tabindex: '0' }, JSON.stringify({ message, evidence, stored }, null, 2)),
    ),
  ]
}

function describeTrigger(message, { decision }) {
  const { trigger, campaign } = decision
  const what = {
    event: 'The event ',
    'segment-entry': 'Entered the segment ',
    'segment-exit': 'Left the segment ',
  }
  const waitMs = Math.max(0, message.dueAtMs - trigger.atMs)
  return [
    step(
      trigger.atMs,
      what[trigger.kind] ?? `${trigger.kind} `,
      make('b', {}, trigger.name),
      ` started ${campaign}.`,
    ),
    step(message.dueAtMs, `Due, ${lengthText(waitMs)} later, and nothing had ended it.`),
    step(
      decision.renderedAtMs,
      `Rendered with the data of this moment, at most ${lengthText(decision.profileAgeMs)} old.`,
    ),
  ]
}

function describeHandOver(mail, message) {
  const { state, outcomes } = message
  const says =
    state.says === undefined || state.says === '' ? '' : ` The mail server said "${state.says}".`
  const lateMs = Math.max(0, mail.receivedAtMs - message.dueAtMs)
  const handed = step(
    mail.receivedAtMs,
    'Handed over by SMTP, ',
    make('b', {}, lengthText(lateMs)),
    ` after it was due.${says}`,
  )
  const later = Object.entries(outcomes).map(([name, atMs]) =>
    step(atMs, outcomeTexts[name] ?? name),
  )
  return [handed, ...later]
}

function step(atMs, ...words) {
  return make(
    'li',
    {},
    make('time', { title: dateTimeText(atMs) }, timeText(atMs, true)),
    make('span', {}, ...words),
  )
}

function part(title, ...children) {
  return make('section', { class: 'part' }, make('h3', {}, title), ...children)
}

function describeProfile({ decision, input }) {
  const traits = input.values.profile?.traits ?? {}
  const shown = Object.entries(traits).map(([name, value]) =>
    make('div', {}, make('dt', {}, name), make('dd', {}, String(value))),
  )
  return part(
    'Profile',
    make(
      'p',
      {},
      make('code', {}, decision.profileKey),
      ` at version ${decision.profileVersion}. Its data was at most `,
      make('b', {}, lengthText(decision.profileAgeMs)),
      ` old; ${lengthText(decision.freshWithinMs)} was allowed.`,
    ),
    make('dl', { class: 'pairs small' }, shown),
  )
}

function describeSegments({ decision }) {
  const { segments } = decision
  if (segments.length === 0) return part('Segments', make('p', { class: 'quiet' }, 'In none.'))
  return part(
    'Segments',
    make(
      'ul',
      { class: 'chips' },
      segments.map((name) => make('li', {}, name)),
    ),
  )
}

function describeRecommendations({ decision, input }) {
  const shown = input.values.recommendations ?? []
  if (shown.length === 0) {
    return part('Recommended', make('p', { class: 'quiet' }, 'This email recommends nothing.'))
  }
  const rows = shown.map((item) =>
    make(
      'li',
      {},
      make('img', {
        src: item.image_url ?? '',
        alt: '',
        width: '36',
        height: '36',
        loading: 'lazy',
      }),
      make(
        'span',
        {},
        make('b', {}, item.name ?? item.item_id),
        make('small', {}, reasonText(item.reason) + weightText(decision, item.item_id)),
      ),
    ),
  )
  const learned = Number(decision.learnedCount).toLocaleString('en')
  return part(
    'Recommended',
    make('ul', { class: 'items' }, rows),
    make(
      'p',
      { class: 'quiet' },
      `The index had learned ${learned} views, baskets and orders by then.`,
    ),
  )
}

function reasonText(reason) {
  const tell = reasonTexts[reason?.kind]
  if (tell === undefined) return ''
  return tell(reason.name ?? reason.item_id ?? 'something like it', reason.category)
}

/** How the score came about; evidence of before has no weights. */
function weightText({ recommendations = [] }, itemId) {
  const found = recommendations.find((one) => one.itemId === itemId && one.slot === undefined)
  if (found?.weights === undefined) return ''
  const boost = found.weights.boost === undefined ? '' : ` x ${found.weights.boost}`
  const { algorithm, share = 1 } = found.reason
  const by = algorithm === undefined ? '' : `, ${Math.round(share * 100)} % by ${algorithm}`
  return ` (${found.weights.base.toPrecision(3)}${by}${boost})`
}

function describeVersions({ decision, templateHash, rawHash, input }) {
  const rows = [
    ['Definitions', decision.definitionsHash],
    ['Template', templateHash],
    ['Bytes', rawHash],
    ['Renderer', input.rendererVersion],
  ]
  return part(
    'Versions',
    make(
      'dl',
      { class: 'pairs small mono' },
      rows.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))),
    ),
  )
}

/** Buttons that ask the server to render again: as stored, and with one input changed. */
function describeProof(mail, evidence) {
  const answer = make('div', { class: 'answer', role: 'status', 'aria-live': 'polite' })
  const change = chooseChange(evidence)
  const ask = async (button, query, tell) => {
    button.disabled = true
    try {
      const explained = await readJson(`/demo/messages/${mail.messageId}/explain${query}`)
      answer.replaceChildren(...tell(explained))
    } catch (error) {
      answer.replaceChildren(note(error.message, true))
    } finally {
      button.disabled = false
    }
  }
  const again = make('button', { type: 'button', class: 'primary' }, 'Render again')
  again.addEventListener('click', () => ask(again, '', (explained) => tellSame(mail, explained)))
  const changed = make('button', { type: 'button' }, 'Change one input')
  const given = { path: change.path, value: JSON.stringify(change.value) }
  const query = `?${new URLSearchParams(given)}`
  changed.addEventListener('click', () =>
    ask(changed, query, (explained) => tellChanged(change, explained)),
  )
  const says = 'Makes the email a second time from what was stored, and compares every byte.'
  return part(
    'Proof',
    make('p', {}, says),
    make('div', { class: 'buttons' }, again, changed),
    answer,
  )
}

/** Something that every template shows. */
function chooseChange({ input }) {
  const { profile, recommendations = [] } = input.values
  if (recommendations.length > 0) {
    return {
      path: 'values.recommendations.0.price',
      value: 88.88,
      says: 'the price of the first recommendation is now 88.88',
    }
  }
  if (profile?.traits?.name !== undefined) {
    return {
      path: 'values.profile.traits.name',
      value: 'Somebody Else',
      says: 'the name is now Somebody Else',
    }
  }
  return { path: 'values.shop.name', value: 'Another Shop', says: 'the shop is now Another Shop' }
}

function tellSame(mail, { isSame, rawHash, renderedHash, rendererVersion, difference }) {
  if (!isSame) {
    const { stored, present } = rendererVersion
    const versions =
      stored === present ? '' : ` The renderer was ${stored} then and is ${present} now.`
    return [
      make('p', { class: 'bad' }, make('b', {}, 'The bytes differ.'), versions),
      ...tellDifference(difference),
    ]
  }
  const isCaught = mail.hash === rawHash
  return [
    make(
      'p',
      { class: 'good' },
      make('b', {}, 'The same bytes.'),
      isCaught ? ' So are those that arrived in this inbox.' : '',
    ),
    make('code', { class: 'hash' }, `SHA-256 ${renderedHash}`),
    isCaught
      ? ''
      : make('p', { class: 'bad' }, `The mail that arrived has another hash: ${mail.hash}`),
  ]
}

function tellChanged(change, { isSame, difference }) {
  if (isSame) {
    return [
      make('p', { class: 'quiet' }, `Where ${change.says}, this template shows nothing else.`),
    ]
  }
  return [
    make('p', {}, make('b', {}, 'It differs, as it should: '), `${change.says}.`),
    ...tellDifference(difference),
  ]
}

function tellDifference(difference) {
  if (difference === undefined) return []
  const { line, stored, rendered } = difference
  return [
    make('p', { class: 'quiet' }, `First at line ${line} of the source:`),
    make(
      'dl',
      { class: 'diff' },
      make(
        'div',
        { class: 'diff-line' },
        make('dt', {}, 'as sent'),
        make('dd', {}, ...markDifference(stored, rendered)),
      ),
      make(
        'div',
        { class: 'diff-line' },
        make('dt', {}, 'now'),
        make('dd', {}, ...markDifference(rendered, stored)),
      ),
    ),
  ]
}

/** Marks the part of `text` that `other` has not, between what both begin and end with. */
function markDifference(text, other) {
  const lengthMin = Math.min(text.length, other.length)
  let start = 0
  while (start < lengthMin && text[start] === other[start]) start++
  let end = 0
  while (end < lengthMin - start && text.at(-1 - end) === other.at(-1 - end)) end++
  const differing = text.slice(start, text.length - end)
  return [text.slice(0, start), make('mark', {}, differing), text.slice(text.length - end)]
}
