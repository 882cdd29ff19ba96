/**
 * Recommendations for whoever fills an email elsewhere: for a person, for any context, items like
 * an item, and what is popular.
 *
 * An email is never broken by an answer: of an unknown person or item there is what is popular, of
 * an empty or sold-out catalog an empty list, always with 200. Only a request that cannot be
 * understood is refused.
 */

import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { createItemReader } from '../delivery/item-reader.ts'
import { findItems, findPerson } from '../delivery/read-state.ts'
import { fillSlots, recommendItems, type SlotAsked } from '../delivery/recommend-items.ts'
import type { CompiledDefinitions } from '../process/definitions.ts'
import type { PersonView } from '../profile/person-view.ts'
import { viewPerson } from '../profile/view-person.ts'
import { type AdviceRequest, adviceCountMax } from '../recommend/advisor.ts'
import {
  defaultRules,
  parseRules,
  type RecommenderKind,
  type RecommenderRules,
} from '../recommend/recommender-rules.ts'
import type { ApiDeps } from './api-deps.ts'
import { createDefinitionsInForce, type DefinitionsInForce } from './definitions-in-force.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { ageOf, parseProfileId, profileIdProblem } from './profile-answer.ts'
import { showRecommended } from './recommendation-answer.ts'
import { sendJson } from './send-json.ts'

const ItemId = Type.String({ minLength: 1, maxLength: 200 })
const Name = Type.String({ minLength: 1, maxLength: 64 })
const Count = Type.Integer({ minimum: 0, maximum: 100 })
const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>
/** Of these an empty one is as none: that is what a sender puts in for an empty merge field. */
const ListQuery = Type.Object({
  count: Type.Optional(Type.String({ pattern: '^[0-9]{0,4}$' })),
  recommender: Type.Optional(Type.String({ maxLength: 64 })),
  /** Ids of items that are shown elsewhere, divided by commas. */
  exclude: Type.Optional(Type.String({ maxLength: 8000 })),
  category: Type.Optional(Type.String({ maxLength: 200 })),
})
type ListQuery = Static<typeof ListQuery>

const strict = { additionalProperties: false }
const Done = Type.Object(
  {
    itemId: ItemId,
    kind: Type.Optional(
      Type.Union([Type.Literal('view'), Type.Literal('cart'), Type.Literal('purchase')]),
    ),
    /** Absent: now. */
    occurredAtMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 8.64e15 })),
  },
  strict,
)
const Slot = Type.Object({ name: Name, recommender: Type.Optional(Name), count: Count }, strict)
const ContextBody = Type.Object(
  {
    /** An empty one is as none. */
    profile: Type.Optional(Type.String({ maxLength: 300 })),
    /** Behind that of the profile, oldest first. */
    activity: Type.Optional(Type.Array(Done, { maxItems: 200 })),
    exclude: Type.Optional(Type.Array(ItemId, { maxItems: 1000 })),
    count: Type.Optional(Count),
    recommender: Type.Optional(Type.String({ maxLength: 64 })),
    /** As in `recommenders/NAME.yaml`, instead of a name. */
    rules: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** Several lists, of which none shows what another does. */
    slots: Type.Optional(Type.Array(Slot, { minItems: 1, maxItems: 10 })),
  },
  strict,
)
type ContextBody = Static<typeof ContextBody>

const countDefault = 10
const feedCountDefault = 20

type List = { Params: IdParams; Querystring: ListQuery }
const listSchema = { schema: { querystring: ListQuery } }

export function addRecommendationRoutes(app: FastifyInstance, given: ApiDeps): void {
  const deps = { ...given, readItems: createItemReader(given.place, given.changes) }
  const inForce = createDefinitionsInForce(deps.place, deps.blobs)
  addListRoutes(app, deps, inForce)

  app.get<List>('/api/v1/profiles/:id/recommendations', listSchema, async (request, reply) => {
    const { query } = request
    const definitions = await inForce.of(0)
    const rules = rulesNamed(definitions, query.recommender)
    if ('code' in rules) return sendProblem(reply, rules)
    const person = await findSubject(deps, request.params.id)
    if ('code' in person) return sendProblem(reply, person)
    const [slot] = await fillSlots(deps, person.view, {
      slots: [{ name: '', countMax: countOf(query), rules: narrow(rules, categoryOf(query)) }],
      nowMs: deps.clock.nowMs(),
      currency: definitions.shop.currency,
      excludeItemIds: excludedBy(query),
    })
    return sendJson(reply, {
      ...person.shown,
      items: slot === undefined ? [] : showRecommended(slot, definitions.shop.currency),
      learnedCount: slot?.learnedCount ?? 0,
    })
  })

  app.post<{ Body: ContextBody }>(
    '/api/v1/recommendations',
    { schema: { body: ContextBody } },
    async (request, reply) => {
      const { body } = request
      const definitions = await inForce.of(0)
      const slots = slotsOf(definitions, body)
      if ('code' in slots) return sendProblem(reply, slots)
      const nowMs = deps.clock.nowMs()
      const person = isGiven(body.profile) ? await findSubject(deps, body.profile) : undefined
      if (person !== undefined && 'code' in person) return sendProblem(reply, person)
      const view = person?.view ?? nothingDone
      const activity = [...view.activity, ...doneIn(body, nowMs)]
      const filled = await fillSlots(
        deps,
        { activity, bought: view.bought },
        {
          slots,
          nowMs,
          currency: definitions.shop.currency,
          ...(body.exclude === undefined ? {} : { excludeItemIds: body.exclude }),
        },
      )
      const lists = filled.map((slot) => {
        return { name: slot.name, items: showRecommended(slot, definitions.shop.currency) }
      })
      const shown = body.slots === undefined ? { items: lists[0]?.items } : { slots: lists }
      const learnedCount = Math.max(0, ...filled.map((slot) => slot.learnedCount))
      return sendJson(reply, { ...person?.shown, ...shown, learnedCount })
    },
  )
}

/** Lists that are of no person. */
function addListRoutes(app: FastifyInstance, deps: ApiDeps, inForce: DefinitionsInForce): void {
  app.get<List>('/api/v1/items/:id/similar', listSchema, async (request, reply) => {
    const { id } = request.params
    const { query } = request
    const nowMs = deps.clock.nowMs()
    const isKnown = (await findItems(deps.place, [id])).has(id)
    const activity = [{ itemId: id, kind: 'view', occurredAtMs: nowMs } as const]
    const asked = { kind: 'similar', activity, excludeItemIds: [id, ...excludedBy(query)] } as const
    return await answerList({ query, nowMs, ...asked }, { id, isKnown }, reply)
  })

  app.get<List>('/api/v1/recommendations/trending', listSchema, async (request, reply) => {
    const { query } = request
    const nowMs = deps.clock.nowMs()
    const asked = { kind: 'trending', activity: [], excludeItemIds: excludedBy(query) } as const
    return await answerList({ query, nowMs, ...asked }, {}, reply)
  })

  async function answerList(
    asked: Pick<AdviceRequest, 'activity' | 'excludeItemIds' | 'nowMs'> & {
      readonly kind: RecommenderKind
      readonly query: ListQuery
    },
    shown: Readonly<Record<string, unknown>>,
    reply: Parameters<typeof sendJson>[0],
  ): Promise<unknown> {
    const { kind, query, ...request } = asked
    const definitions = await inForce.of(0)
    const named = rulesNamed(definitions, query.recommender)
    if ('code' in named) return sendProblem(reply, named)
    const { currency } = definitions.shop
    const rules = narrow({ ...named, kind }, categoryOf(query))
    const countMax = countOf(query, kind === 'trending' ? feedCountDefault : countDefault)
    const found = await recommendItems(deps, { ...request, rules, currency, countMax })
    const items = showRecommended(found, currency)
    return sendJson(reply, { ...shown, items, learnedCount: found.learnedCount })
  }
}

const nameOfKind = {
  view: 'Product Viewed',
  cart: 'Product Added',
  purchase: 'Order Completed',
} as const

/** What a body says was done, as a profile would have it. */
function doneIn({ activity = [] }: ContextBody, nowMs: number): PersonView['activity'] {
  return activity.map(({ itemId, kind = 'view', occurredAtMs = nowMs }) => {
    return { name: nameOfKind[kind], itemId, occurredAtMs }
  })
}

const nothingDone: Subject['view'] = { activity: [] }

interface Subject {
  readonly view: Pick<PersonView, 'activity' | 'bought'>
  readonly shown: Readonly<Record<string, unknown>>
}

/** Returns what a person did; of an unknown one, nothing. */
async function findSubject(deps: ApiDeps, id: string): Promise<Subject | ApiProblem> {
  if (emptyIds.includes(id)) return subjectUnknown(id)
  const key = parseProfileId(id)
  if (key === undefined) return profileIdProblem
  const found = await findPerson(deps.place, key)
  if (found === undefined) return subjectUnknown(key)
  const view = viewPerson(found.person, found.traits)
  const { key: id_, version } = found.person
  return { view, shown: { id: id_, isKnown: true, version, ...ageOf(deps, found) } }
}

/** What an empty merge field leaves of the id of a person whom the sender does not know. */
const emptyIds = ['', 'user:', 'anonymous:']

function subjectUnknown(id: string): Subject {
  return { view: nothingDone, shown: { id, isKnown: false, version: 0, asOf: null, ageMs: null } }
}

function slotsOf(
  definitions: CompiledDefinitions,
  body: ContextBody,
): readonly SlotAsked[] | ApiProblem {
  const asked = body.slots ?? [
    {
      name: '',
      count: body.count ?? countDefault,
      ...(body.recommender === undefined ? {} : { recommender: body.recommender }),
    },
  ]
  const inline = body.rules === undefined ? undefined : rulesGiven(body.rules)
  if (inline !== undefined && 'code' in inline) return inline
  const slots: SlotAsked[] = []
  for (const { name, count, recommender } of asked) {
    const rules = inline ?? rulesNamed(definitions, recommender)
    if ('code' in rules) return rules
    slots.push({ name, countMax: count, rules })
  }
  return slots
}

function rulesGiven(given: Readonly<Record<string, unknown>>): RecommenderRules | ApiProblem {
  // It was read from JSON.
  const parsed = parseRules(given as Parameters<typeof parseRules>[0], '')
  if (parsed.kind === 'rules') return parsed.rules
  const faults = parsed.faults.map(({ path, says }) => ({ path: `/rules/${path}`, says }))
  return { status: 400, code: 'invalid', detail: 'The rules cannot be used.', faults }
}

function rulesNamed(
  definitions: CompiledDefinitions,
  name: string | undefined,
): RecommenderRules | ApiProblem {
  if (!isGiven(name)) return defaultRules
  const rules = definitions.recommenders.get(name)
  if (rules !== undefined) return rules
  const names = [...definitions.recommenders.keys()].sort()
  const known = names.length === 0 ? 'none were applied' : `there are ${names.join(', ')}`
  const detail = `No recommender of this name; ${known}.`
  return { status: 404, code: 'recommender-unknown', detail }
}

/** Narrows rules to a category: what they leave out stays out. */
function narrow(rules: RecommenderRules, category: string | undefined): RecommenderRules {
  return category === undefined ? rules : { ...rules, within: category }
}

function countOf(query: ListQuery, fallback = countDefault): number {
  return Math.min(adviceCountMax, Number(isGiven(query.count) ? query.count : fallback))
}

function categoryOf({ category }: ListQuery): string | undefined {
  return isGiven(category) ? category : undefined
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== ''
}

function excludedBy({ exclude }: ListQuery): readonly string[] {
  return exclude === undefined ? [] : exclude.split(',').filter((itemId) => itemId !== '')
}
