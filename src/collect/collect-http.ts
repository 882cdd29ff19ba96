/**
 * The collector over HTTP, on plain `node:http` requests: the routes of Segment's tracking API,
 * those of its browser client, and Jitsu's. Other formats are in `take-adapted.ts`.
 *
 * Order of one request: write key in a header, origin and rate of its source, intake open, body
 * within its limit, inflate, JSON, write key in the body, collect, answer. The answer 200 goes out
 * only when every event is durable. A request that cannot be read is kept in the `rejected` log if
 * its source is known; strangers fill no disk.
 *
 * Single invalid events are answered 200, as Segment does: clients would drop or repeat them on
 * anything else. `Prefer: return=representation` or `?verbose=1` shows what became of each event.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isJsonObject } from '../lib/json.ts'
import { collectFrom, findBarrier } from './admit.ts'
import {
  addCorsHeaders,
  answerEach,
  answerJson,
  answerPreflight,
  answerProblem,
  answerTakenAll,
  asksForEach,
  type Problem,
  settingsOf,
} from './collect-answer.ts'
import type { CollectAnswer } from './collect-batch.ts'
import type { CollectHttpOptions } from './collect-options.ts'
import {
  intakeProblem,
  keyProblem,
  methodProblem,
  problemOfError,
  requestProblem,
} from './collect-problem.ts'
import type { CollectHttpDeps, Exchange } from './exchange.ts'
import type { BodyBudget } from './parse-body.ts'
import type { CollectCall } from './read-request.ts'
import { type SegmentRoute, segmentRoutes } from './segment-routes.ts'
import type { CollectSource, SourceDirectory } from './source-directory.ts'
import { createAdaptedTable, takeAdapted } from './take-adapted.ts'
import { takeBytes, takeJson } from './take-body.ts'
import { type BasicKeys, writeKeyOfHeaders } from './write-key.ts'

/** Answers the request and returns true where the path is the collector's. */
export type CollectRoutes = (request: IncomingMessage, response: ServerResponse) => boolean

const settingsPath = /^\/v1\/projects\/([^/]{1,200})\/settings$/

export function createCollectRoutes(
  deps: CollectHttpDeps,
  options: CollectHttpOptions,
): CollectRoutes {
  const budget: BodyBudget = { bytesMax: options.bodyBytesInFlightMax, bytesInFlight: 0 }
  const basicKeys: BasicKeys = new Map()
  const findAdapted = createAdaptedTable(deps.adapted)
  return (request, response) => {
    const url = request.url ?? ''
    const queryAt = url.indexOf('?')
    const path = queryAt < 0 ? url : url.slice(0, queryAt)
    const query = queryAt < 0 ? '' : url.slice(queryAt + 1)
    const route = segmentRoutes.get(path)
    const settings = route === undefined ? settingsPath.exec(path) : null
    const adapted = route === undefined && settings === null ? findAdapted(path) : undefined
    if (route === undefined && settings === null && adapted === undefined) return false
    const refuse = (problem: Problem): void => {
      deps.metrics.refused(problem.status, problem.code)
      const shouldClose = problem.shouldClose ?? isBodyLong(request, options)
      const answered = { ...problem, shouldClose }
      if (adapted?.route.refuse === undefined) answerProblem(response, answered)
      else if (!response.headersSent) adapted.route.refuse(response, answered)
    }
    const method = route === undefined ? 'GET' : 'POST'
    addCorsHeaders(request, response)
    // Written out: a copy of what is the same each time costs more than the rest of it.
    const exchange: Exchange = {
      deps,
      options,
      budget,
      basicKeys,
      request,
      response,
      query,
      refuse,
    }
    const fail = (error: unknown): void => refuse(problemOfError(error, deps.logger))
    if (adapted !== undefined) takeAdapted(exchange, adapted).catch(fail)
    else if (request.method === 'OPTIONS') answerPreflight(response)
    else if (request.method !== method) refuse(methodProblem(method))
    else if (route === undefined) answerSettings(exchange, settings?.[1] ?? '')
    else takeEvents(exchange, route).catch(fail)
    return true
  }
}

/** Tells whether reading the rest of the body away would cost more than a new connection. */
function isBodyLong(request: IncomingMessage, options: CollectHttpOptions): boolean {
  if (request.complete) return false
  const { 'transfer-encoding': encoding, 'content-length': length } = request.headers
  return encoding !== undefined || Number(length ?? 0) > options.batchBytesMax
}

function answerSettings(exchange: Exchange, writtenKey: string): void {
  const { deps, options, response, refuse } = exchange
  const writeKey = writtenKey.replaceAll(/%3a/gi, ':')
  if (deps.sources.byWriteKey(writeKey) === undefined) {
    refuse({
      status: 404,
      code: 'source-unknown',
      title: 'Not found',
      detail: 'Unknown write key.',
    })
  } else {
    answerJson(response, settingsOf(writeKey, options.publicUrl), 'public, max-age=300')
  }
}

async function takeEvents(exchange: Exchange, route: SegmentRoute): Promise<void> {
  const { deps, request, refuse } = exchange
  const writeKey = writeKeyOfHeaders(request, exchange.basicKeys)
  const found = writeKey === undefined ? undefined : deps.sources.byWriteKey(writeKey)
  if (writeKey !== undefined && found === undefined) return refuse(keyProblem)
  const barrier = found === undefined ? undefined : findBarrier(exchange, found)
  if (barrier !== undefined) return refuse(barrier)
  const intake = deps.intake()
  if (intake.kind === 'closed') return refuse(intakeProblem(intake))
  await takeBytes(exchange, { size: route.kind, found }, (bytes) =>
    takeBody(exchange, route, { found, bytes }),
  )
}

async function takeBody(
  exchange: Exchange,
  route: SegmentRoute,
  known: { readonly found: CollectSource | undefined; readonly bytes: Uint8Array },
): Promise<void> {
  const { deps, refuse } = exchange
  const asked = { size: route.kind, route, found: known.found }
  const taking = takeJson(exchange, asked, known.bytes)
  // Waiting where there is nothing to wait for would cost a turn of the microtasks each time.
  const parsed = taking instanceof Promise ? await taking : taking
  if (parsed === undefined) return
  const found = known.found ?? sourceOfBody(deps.sources, parsed.body)
  if (found === undefined) return refuse(keyProblem)
  const barrier = known.found === undefined ? findBarrier(exchange, found) : undefined
  if (barrier !== undefined) return refuse(barrier)
  const { body, bytes, hasEscapes } = parsed
  const { request, query } = exchange
  const tellsEach = asksForEach({ prefer: request.headers.prefer, query })
  const call: CollectCall = { ...route, body, bytes, hasEscapes, tellsEach }
  answerCollected(exchange, await collectFrom(exchange, found, call), tellsEach)
}

function sourceOfBody(sources: SourceDirectory, body: unknown): CollectSource | undefined {
  const writeKey = isJsonObject(body) ? body.writeKey : undefined
  return typeof writeKey === 'string' ? sources.byWriteKey(writeKey) : undefined
}

function answerCollected(exchange: Exchange, answer: CollectAnswer, tellsEach: boolean): void {
  if (answer.kind === 'refused') {
    exchange.refuse(requestProblem(answer.reason, answer.says))
    return
  }
  if (tellsEach) answerEach(exchange.response, answer)
  else answerTakenAll(exchange.response)
}
