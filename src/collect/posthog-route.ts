import { isJsonObject } from '../lib/json.ts'
import type { AdaptedRoute, Ask, AskBytes } from './adapter.ts'
import { answerJson } from './collect-answer.ts'
import { translatePosthog, writeKeyOfPosthog } from './posthog.ts'

const places = ['/batch', '/capture', '/e', '/i/v0/e']

/** Where PostHog's clients send events; its project key is a write key here. */
export const posthogRoute: AdaptedRoute = {
  format: 'posthog',
  paths: places.flatMap((place) => [place, `${place}/`]),
  method: 'POST',
  size: 'batch',
  findSource: () => 'in-body',
  hasJson: (ask) => !isForm(ask),
  sourceOfBody(ask, sources) {
    const writeKey = writeKeyOfPosthog(readBody(ask))
    return writeKey === undefined ? undefined : sources.byWriteKey(writeKey)
  },
  adapt(ask) {
    const request = translatePosthog(readBody(ask))
    if (request === undefined) {
      const says = 'The body is a batch of events, one event, or a list of events.'
      return { kind: 'refused', reason: 'batch-missing', says }
    }
    if (request.items.length > 0) return { kind: 'events', ...request }
    return { kind: 'refused', reason: 'batch-empty', says: 'The batch has no events.' }
  },
  answer: (response) => answerJson(response, { status: 'Ok' }, 'no-store'),
}

/** What a page sends while it is left is a form: JSON in base 64, as its field `data`. */
function isForm({ bytes }: AskBytes): boolean {
  return Buffer.from(bytes.subarray(0, formStart.length)).toString('latin1') === formStart
}
const formStart = 'data='

function readBody(ask: Ask): unknown {
  if (!isForm(ask)) return ask.body
  const form = new URLSearchParams(Buffer.from(ask.bytes).toString('latin1'))
  try {
    const body = JSON.parse(Buffer.from(form.get('data') ?? '', 'base64').toString()) as unknown
    return isJsonObject(body) || Array.isArray(body) ? body : undefined
  } catch {
    return undefined
  }
}
