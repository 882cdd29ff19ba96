import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { FoundPerson } from '../delivery/read-state.ts'
import { buildValues } from '../delivery/render-values.ts'
import { parseAddress } from '../event/address.ts'
import type { Event } from '../event/event.ts'
import type { JsonObject } from '../lib/json.ts'
import type { CompiledDefinitions } from '../process/definitions.ts'
import { textTrait, viewPerson } from '../profile/view-person.ts'
import { rendererVersion } from '../template/renderer-version.ts'
import type { RenderInput, Template } from '../template/template.ts'
import type { ApiDeps } from './api-deps.ts'
import { createDefinitionsInForce } from './definitions-in-force.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { ageOf } from './profile-answer.ts'
import { findProfile } from './profile-routes.ts'
import { sendJson } from './send-json.ts'

const RenderBody = Type.Object(
  {
    profile: Type.String({ minLength: 1, maxLength: 300 }),
    template: Type.String({ minLength: 1, maxLength: 200 }),
    recommendations: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    /** Whose rules `recommendations` follow. */
    recommender: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    event: Type.Optional(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 200 }),
          properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        },
        { additionalProperties: false },
      ),
    ),
    freshWithinMs: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)
type RenderBody = Static<typeof RenderBody>

/**
 * No state has a message of this id, so links in what is rendered here lead nowhere and count
 * nothing.
 */
const previewId = 'preview'
/** Shown where the profile has no address; RFC 2606 keeps it from ever being somebody's. */
const previewAddress = 'nobody@preview.invalid'

/**
 * Renders a template for a person now: a preview, or content that another sender puts into its own
 * mail.
 */
export function addRenderRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const inForce = createDefinitionsInForce(deps.place, deps.blobs)

  app.post<{ Body: RenderBody }>(
    '/api/v1/render',
    { schema: { body: RenderBody } },
    async (request, reply) => {
      const { body } = request
      const { publicUrl, from } = deps
      if (publicUrl === undefined || from === undefined) return sendProblem(reply, notConfigured)
      const found = await findProfile(deps.place, body.profile)
      if ('code' in found) return sendProblem(reply, found)
      const definitions = await inForce.of(found.partition)
      const template = definitions.templates.get(body.template)
      if (template === undefined) return sendProblem(reply, templateUnknown(definitions))
      const { recommender } = body
      if (recommender !== undefined && !definitions.recommenders.has(recommender)) {
        return sendProblem(reply, recommenderUnknown)
      }
      const age = ageOf(deps, found)
      const boundMs = body.freshWithinMs
      if (boundMs !== undefined && (age.ageMs === null || age.ageMs > boundMs)) {
        return sendProblem(reply, { ...stale, members: { ...age, freshWithinMs: boundMs } })
      }
      const settings = { publicUrl, from }
      const input = await buildInput(deps, settings, { body, found, template, definitions })
      const answer = await deps.render(input)
      if (answer.kind === 'refused') {
        const detail = `The template was not filled: ${answer.reason}: ${answer.says}`
        return sendProblem(reply, { status: 422, code: 'render-refused', detail })
      }
      const { subject, html, text, headers } = answer.message
      const profileVersion = found.person.version
      return sendJson(reply, { subject, html, text, headers, profileVersion, ...age })
    },
  )
}

async function buildInput(
  deps: ApiDeps,
  settings: { readonly publicUrl: string; readonly from: string },
  made: {
    readonly body: RenderBody
    readonly found: FoundPerson
    readonly template: Template
    readonly definitions: CompiledDefinitions
  },
): Promise<RenderInput> {
  const { body, found, template, definitions } = made
  const { publicUrl, from } = settings
  const nowMs = deps.clock.nowMs()
  const { values } = await buildValues(deps, {
    found,
    nowMs,
    recommendationCount: body.recommendations ?? 0,
    recommendationRules: definitions.recommenders.get(body.recommender ?? ''),
    campaign: previewId,
    shop: { ...definitions.shop },
    publicUrl,
    ...(body.event === undefined ? {} : { event: previewEvent(body.event, nowMs) }),
  })
  const { traits } = viewPerson(found.person, found.traits, found.inForce)
  const email = parseAddress(textTrait(traits, 'email'))
  return {
    rendererVersion,
    template,
    values,
    message: {
      messageId: previewId,
      from,
      to: email.kind === 'address' ? email.address : previewAddress,
      dateMs: Math.floor(nowMs / 1000) * 1000,
      publicUrl,
      signingKeyId: deps.signingKeys.currentId,
      topic: previewId,
    },
  }
}

function previewEvent(given: NonNullable<RenderBody['event']>, nowMs: number): Event {
  return {
    eventId: previewId,
    sourceId: previewId,
    type: 'track',
    name: given.name,
    occurredAtMs: nowMs,
    receivedAtMs: nowMs,
    // It was read from JSON.
    ...(given.properties === undefined ? {} : { properties: given.properties as JsonObject }),
  }
}

const notConfigured: ApiProblem = {
  status: 409,
  code: 'not-configured',
  detail: 'The server was started without publicUrl or from, so a message cannot be written.',
}
const recommenderUnknown: ApiProblem = {
  status: 404,
  code: 'recommender-unknown',
  detail: 'No recommender of this name.',
}
const stale: ApiProblem = {
  status: 409,
  code: 'stale',
  detail: 'The data may be older than freshWithinMs allows.',
  retryAfterSeconds: 1,
}

function templateUnknown(definitions: CompiledDefinitions): ApiProblem {
  const names = [...definitions.templates.keys()].sort()
  const known = names.length === 0 ? 'none were applied' : `there are ${names.join(', ')}`
  return { status: 404, code: 'template-unknown', detail: `No template of this name; ${known}.` }
}
