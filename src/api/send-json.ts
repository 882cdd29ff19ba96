import type { FastifyReply } from 'fastify'

/** Answers JSON about a person, which no shared cache may keep. */
export function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  return reply
    .header('cache-control', 'private, no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(body))
}
