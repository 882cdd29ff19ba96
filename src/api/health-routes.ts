import type { FastifyInstance } from 'fastify'
import type { ApiDeps } from './api-deps.ts'
import { sendProblem } from './problem.ts'

/**
 * For whoever watches the process: alive, ready, and in figures. They take no key and show no
 * person.
 */
export function addHealthRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get('/healthz', async (_request, reply) => {
    return reply.header('cache-control', 'no-store').type('text/plain').send('ok\n')
  })

  app.get('/readyz', async (_request, reply) => {
    const { unready, partitions } = await deps.health()
    if (unready.length === 0) {
      return reply.header('cache-control', 'no-store').type('text/plain').send('ready\n')
    }
    return sendProblem(reply, {
      status: 503,
      code: 'not-ready',
      detail: unready.join('; '),
      retryAfterSeconds: 1,
      members: { reasons: unready, stopped: partitions.stopped },
    })
  })

  app.get('/metrics', async (_request, reply) => {
    const text = await deps.metrics.render()
    return reply.header('cache-control', 'no-store').type(deps.metrics.contentType).send(text)
  })
}
