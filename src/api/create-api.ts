/**
 * The HTTP API, and what links in emails lead to.
 *
 * Guarantee: a route answers only whom its scope in `authorize.ts` allows, and a route without a
 * scope answers nobody. Every refusal is a problem with a code; an error's stack stays in the log
 * of the operator.
 *
 * Order of a request: route, key, body within its limit, schema, handler. What is written is
 * appended to the log; what is read is the committed state. Where `serverFactory` is given, it owns
 * the server and may answer other paths before (the collector, the fast path of profiles); its time
 * limits are then the caller's.
 */

import { type FastifyInstance, type FastifyServerFactory, fastify } from 'fastify'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { authorize, scopeOf } from './authorize.ts'
import { addEventRoutes } from './event-routes.ts'
import { addHealthRoutes } from './health-routes.ts'
import { addIdentityRoutes } from './identity-routes.ts'
import { addItemRoutes } from './item-routes.ts'
import { addMessageRoutes } from './message-routes.ts'
import { addPastRoutes } from './past-routes.ts'
import { problemOfError, sendProblem } from './problem.ts'
import { addProfileRoutes } from './profile-routes.ts'
import { addRecommendationRoutes } from './recommendation-routes.ts'
import { addRejectedRoutes } from './rejected-routes.ts'
import { addRenderRoutes } from './render-routes.ts'
import { addSegmentRoutes } from './segment-routes.ts'
import { addStatusRoutes } from './status-routes.ts'
import { addSuppressionRoutes } from './suppression-routes.ts'
import { addTrackingRoutes } from './tracking-routes.ts'

/** The longest parameter of a path: an id of 300 characters, each escaped as three bytes. */
const paramCharactersMax = 2700

/**
 * Makes the API. The caller calls `listen`; or, where it has given the server, `ready`, and later
 * closes both: this does not end a server that it did not start.
 */
export function createApi(
  deps: ApiDeps,
  options: ApiOptions,
  serverFactory?: FastifyServerFactory,
): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: 65_000,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: paramCharactersMax },
    // A path that cannot be read has no route whose handler of errors it would come to.
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, problemOfError(error, deps.logger))
    },
    // Nothing is taken out or turned into another type in silence.
    ajv: { customOptions: { allErrors: true, coerceTypes: false, removeAdditional: false } },
    ...(serverFactory === undefined ? {} : { serverFactory }),
  })
  addAuthorization(app, deps)
  addMeasure(app, deps)
  app.setErrorHandler((error, _request, reply) =>
    sendProblem(reply, problemOfError(error, deps.logger)),
  )
  app.setNotFoundHandler((_request, reply) => {
    const detail = 'There is nothing at this path for this method.'
    return sendProblem(reply, { status: 404, code: 'not-found', detail })
  })
  addHealthRoutes(app, deps)
  if (options.isHealthOnly) return app
  addProfileRoutes(app, deps)
  addPastRoutes(app, deps)
  addRecommendationRoutes(app, deps)
  addMessageRoutes(app, deps)
  addRenderRoutes(app, deps)
  addItemRoutes(app, deps, options)
  addSuppressionRoutes(app, deps, options)
  addIdentityRoutes(app, deps, options)
  addStatusRoutes(app, deps)
  app.register(async (scope) => addSegmentRoutes(scope, deps, options))
  addEventRoutes(app, deps, options)
  addRejectedRoutes(app, deps)
  app.register(async (scope) => addTrackingRoutes(scope, deps, options))
  return app
}

/** Before the body is read: who may not, sends nothing. */
function addAuthorization(app: FastifyInstance, deps: ApiDeps): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const scope = scopeOf(request.method, request.routeOptions.url ?? '')
    const { authorization } = request.headers
    const problem = await authorize(deps.apiKeys, { scope, authorization })
    if (problem !== undefined) return sendProblem(reply, problem)
  })
}

function addMeasure(app: FastifyInstance, deps: ApiDeps): void {
  const observe = deps.metrics.histogram('attune_http_request_seconds')
  app.addHook('onResponse', async (request, reply) => {
    // A stream lasts as long as somebody watches: its time says nothing.
    if (reply.raw.getHeader('content-type')?.toString().startsWith('text/event-stream')) return
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
    observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / 1000)
  })
}
