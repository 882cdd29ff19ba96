import type { AdaptedRoute } from './adapter.ts'
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
  sourceOfBody({ body }, sources) {
    const writeKey = writeKeyOfPosthog(body)
    return writeKey === undefined ? undefined : sources.byWriteKey(writeKey)
  },
  adapt({ body }) {
    const request = translatePosthog(body)
    if (request === undefined) {
      const says = 'The body is a batch of events, one event, or a list of events.'
      return { kind: 'refused', reason: 'batch-missing', says }
    }
    if (request.items.length > 0) return { kind: 'events', ...request }
    return { kind: 'refused', reason: 'batch-empty', says: 'The batch has no events.' }
  },
  answer: (response) => answerJson(response, { status: 'Ok' }, 'no-store'),
}
