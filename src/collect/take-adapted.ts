/**
 * Takes requests in formats other than Segment's, as their `AdaptedRoute` describes them. The order
 * of steps is in `adapter.ts`.
 *
 * Guarantee, as for Segment's: the answer goes out only when every event is durable, and every item
 * ends as an event or in the `rejected` log with its reason. A request that cannot be read is kept
 * there whole, if its source is known and what it must prove is proved.
 */

import { assert } from '../lib/assert.ts'
import type { AdaptedRoute, Ask, AskBytes, AskHead } from './adapter.ts'
import { collectFrom, findBarrier } from './admit.ts'
import { answerPreflight } from './collect-answer.ts'
import type { TakenAnswer } from './collect-batch.ts'
import { intakeProblem, keyProblem, methodProblem, requestProblem } from './collect-problem.ts'
import type { Exchange } from './exchange.ts'
import type { RequestReason } from './reject-reason.ts'
import type { CollectSource } from './source-directory.ts'
import { takeBytes, takeJson } from './take-body.ts'
import { writeKeyOfHeaders } from './write-key.ts'

export interface MatchedRoute {
  readonly route: AdaptedRoute
  readonly parameters: Readonly<Record<string, string>>
}

/** Returns the route of a path, if one of them has it. */
export type FindAdapted = (path: string) => MatchedRoute | undefined

const parameterCharactersMax = 200
const noEvents: TakenAnswer = { kind: 'taken', acceptedCount: 0, rejectedCount: 0, results: [] }

export function createAdaptedTable(routes: readonly AdaptedRoute[]): FindAdapted {
  const exact = new Map<string, MatchedRoute>()
  const patterns: { readonly parts: readonly string[]; readonly route: AdaptedRoute }[] = []
  for (const route of routes) {
    for (const path of route.paths) {
      assert(!exact.has(path), 'a path has one format')
      if (path.includes('/:')) patterns.push({ parts: path.split('/'), route })
      else exact.set(path, { route, parameters: {} })
    }
  }
  return (path) => {
    const found = exact.get(path)
    if (found !== undefined || patterns.length === 0) return found
    const parts = path.split('/')
    for (const pattern of patterns) {
      const parameters = matchParts(pattern.parts, parts)
      if (parameters !== undefined) return { route: pattern.route, parameters }
    }
    return undefined
  }
}

function matchParts(
  pattern: readonly string[],
  parts: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== parts.length) return undefined
  const parameters: Record<string, string> = {}
  for (const [index, wanted] of pattern.entries()) {
    const part = parts[index] ?? ''
    if (!wanted.startsWith(':')) {
      if (part !== wanted) return undefined
      continue
    }
    const value = decodePart(part)
    if (value === undefined) return undefined
    parameters[wanted.slice(1)] = value
  }
  return parameters
}

function decodePart(part: string): string | undefined {
  if (part === '' || part.length > parameterCharactersMax) return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

/** Answers one request; rejects with the error of a log. */
export async function takeAdapted(exchange: Exchange, matched: MatchedRoute): Promise<void> {
  const { route } = matched
  const { request, response, refuse } = exchange
  const head = headOf(exchange, matched)
  if (request.method === 'OPTIONS') {
    if (route.answerOptions === undefined) answerPreflight(response)
    else route.answerOptions(response, head)
  } else if (request.method === 'HEAD' && route.method === 'GET') {
    route.answer(response, noEvents, head)
  } else if (request.method === route.method) {
    await takeAsked(exchange, route, head)
  } else {
    refuse(methodProblem(route.method))
  }
}

async function takeAsked(exchange: Exchange, route: AdaptedRoute, head: AskHead): Promise<void> {
  const { deps, refuse } = exchange
  const sender = route.findSource(head, deps.sources)
  if (sender !== 'in-body' && 'status' in sender) return refuse(sender)
  const found = sender === 'in-body' ? undefined : sender
  const barrier = found === undefined ? undefined : findBarrier(exchange, found)
  if (barrier !== undefined) return refuse(barrier)
  const intake = deps.intake()
  if (intake.kind === 'closed') return refuse(intakeProblem(intake))
  const take = (bytes: Uint8Array): Promise<void> =>
    takeProved(exchange, route, { ask: { ...head, bytes }, found })
  if (route.method === 'GET') return take(Buffer.from(exchange.query))
  // What is too large to be checked may be a stranger's: nothing of it is kept.
  const isKnown = route.verify === undefined
  const known = { size: route.size, format: route.format, found: isKnown ? found : undefined }
  await takeBytes(exchange, known, take)
}

function headOf({ request, query, basicKeys }: Exchange, { parameters }: MatchedRoute): AskHead {
  const writeKey = writeKeyOfHeaders(request, basicKeys)
  return {
    method: request.method ?? '',
    parameters,
    query: new URLSearchParams(query),
    headers: request.headers,
    ...(writeKey === undefined ? {} : { writeKey }),
  }
}

async function takeProved(
  exchange: Exchange,
  route: AdaptedRoute,
  given: { readonly ask: AskBytes; readonly found: CollectSource | undefined },
): Promise<void> {
  const { deps, response, refuse } = exchange
  const { ask: sent } = given
  if (route.verify !== undefined) {
    assert(given.found !== undefined, 'the sender of what is proved is known by the head')
    const verdict = await route.verify(sent, given.found)
    if (verdict.kind === 'refused') return refuse(verdict.problem)
    if (verdict.kind === 'done') {
      deps.metrics.ignored(verdict.outcome, 1)
      return route.answer(response, noEvents, sent)
    }
    if (verdict.kind === 'rejected') return reject(exchange, route, { ...given, ...verdict })
  }
  const known = { size: route.size, format: route.format, found: given.found }
  const hasJson = route.method === 'POST' && route.hasJson?.(sent) !== false
  const parsed = hasJson ? await takeJson(exchange, known, sent.bytes) : undefined
  if (hasJson && parsed === undefined) return
  const ask: Ask = { ...sent, body: parsed?.body }
  const found = given.found ?? route.sourceOfBody?.(ask, deps.sources)
  if (found === undefined) return refuse(keyProblem)
  const barrier = given.found === undefined ? findBarrier(exchange, found) : undefined
  if (barrier !== undefined) return refuse(barrier)
  await takeItems(exchange, route, { ask, found })
}

async function takeItems(
  exchange: Exchange,
  route: AdaptedRoute,
  given: { readonly ask: Ask; readonly found: CollectSource },
): Promise<void> {
  const { deps, response, refuse } = exchange
  const { ask, found } = given
  const adapted = route.adapt(ask, found)
  if (adapted.kind === 'refused') return reject(exchange, route, { ...given, ...adapted })
  const { format } = route
  const { items, sentAt, isBackfill = false, droppedCount = 0 } = adapted
  const call = { kind: 'adapted', format, items, sentAt, isBackfill, bytes: ask.bytes } as const
  const answer = await collectFrom(exchange, found, call)
  if (answer.kind === 'refused') return refuse(requestProblem(answer.reason, answer.says))
  if (droppedCount > 0) deps.metrics.ignored('dropped', droppedCount)
  route.remember?.(ask, found)
  route.answer(response, answer, ask)
}

/** Keeps the whole request, then refuses it. */
async function reject(
  exchange: Exchange,
  route: AdaptedRoute,
  given: {
    readonly ask: AskBytes
    readonly found: CollectSource | undefined
    readonly reason: RequestReason
    readonly says: string
    readonly count?: number
  },
): Promise<void> {
  const { reason, says, count = 1, ask } = given
  if (given.found !== undefined) {
    const refusal = { format: route.format, reason, says, bytes: ask.bytes, count }
    await exchange.deps.collector.rejectRequest(given.found.source.sourceId, refusal)
    exchange.deps.rates.take(given.found, 1)
  }
  exchange.refuse(requestProblem(reason, says))
}
