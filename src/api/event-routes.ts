import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { createEventStream } from './event-stream.ts'
import { type ApiProblem, sendProblem } from './problem.ts'

const StreamQuery = Type.Object({
  /** Kinds of records, joined by commas; absent: all. `rejected` names those of the other log. */
  kind: Type.Optional(Type.String({ maxLength: 300 })),
})
type StreamQuery = Static<typeof StreamQuery>

/** Follows both logs as server-sent events. */
export function addEventRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  const { streamPauseMs: pauseMs, streamCountMax: countMax } = options
  const stream = createEventStream(deps, { pauseMs, countMax })
  const leaving = new Set<() => void>()
  // Before the server waits for its connections to end: a stream never ends by itself.
  app.addHook('preClose', async () => {
    for (const leave of [...leaving]) leave()
    stream.close()
  })

  app.get<{ Querystring: StreamQuery }>(
    '/api/v1/events/stream',
    { schema: { querystring: StreamQuery } },
    async (request, reply) => {
      if (stream.clientCount >= options.streamClientCountMax) return sendProblem(reply, full)
      const kinds = request.query.kind?.split(',').filter((kind) => kind !== '')
      const wanted = kinds === undefined ? undefined : new Set(kinds)
      reply.hijack()
      const response = reply.raw
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'private, no-store',
        'x-accel-buffering': 'no',
      })
      response.write('retry: 1000\n\n')
      const end = stream.add({
        accepts: (kind) => wanted === undefined || wanted.has(kind),
        take: (text) => {
          if (response.writableLength + text.length > options.streamBytesMax) return false
          response.write(text)
          return true
        },
      })
      const leave = (): void => {
        end()
        leaving.delete(leave)
        response.end()
      }
      leaving.add(leave)
      response.once('close', leave)
    },
  )
}

const full: ApiProblem = {
  status: 503,
  code: 'streams-too-many',
  detail: 'As many clients as allowed follow the events already.',
  retryAfterSeconds: 10,
}
