/** Steps that every POST to the collector takes: read the body within its limit, inflate, JSON. */

import { encodingProblem, lagProblem, requestProblem } from './collect-problem.ts'
import type { Exchange } from './exchange.ts'
import { encodingOf, type ParsedBody, parseBody, readBody } from './parse-body.ts'
import type { BodyEncoding } from './rejected-record.ts'
import type { SegmentRoute } from './segment-routes.ts'
import type { CollectSource } from './source-directory.ts'

export interface BodyKnown {
  readonly size: 'single' | 'batch'
  readonly found: CollectSource | undefined
  /** Name of the format, where it is not Segment's. */
  readonly format?: string
  /** What the path says, where it is. */
  readonly route?: SegmentRoute
}

/**
 * Calls `take` with the body, or refuses it. The bytes count against the budget until `take` is
 * done.
 */
export async function takeBytes(
  exchange: Exchange,
  known: BodyKnown,
  take: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { deps, options, budget, request, refuse } = exchange
  const bytesMax = known.size === 'single' ? options.singleBytesMax : options.batchBytesMax
  const read = await readBody(request, bytesMax, budget)
  if (read.kind === 'gone') return
  if (read.kind === 'overloaded') return refuse({ ...lagProblem, shouldClose: !read.isEnded })
  try {
    if (read.kind === 'bytes') return await take(read.bytes)
    const says = `The body has more than ${bytesMax} bytes.`
    const problem = requestProblem('body-too-large', says)
    if (known.found !== undefined) {
      const refusal = { ...formatOf(known), reason: 'body-too-large', says } as const
      const { sourceId } = known.found.source
      await deps.collector.rejectRequest(sourceId, { ...refusal, bytes: read.bytes })
    }
    refuse({ ...problem, shouldClose: !read.isEnded })
  } finally {
    budget.bytesInFlight -= read.bytes.length
  }
}

type JsonBody = Extract<ParsedBody, { readonly kind: 'json' }>

/**
 * Returns the body read as JSON, or undefined where it is refused: then it has been answered. At
 * once where there is nothing to wait for, which is nearly always.
 */
export function takeJson(
  exchange: Exchange,
  known: BodyKnown,
  bytes: Uint8Array,
): JsonBody | undefined | Promise<JsonBody | undefined> {
  const encoding = encodingOf(exchange.request.headers['content-encoding'])
  if (encoding === undefined) {
    exchange.refuse(encodingProblem)
    return undefined
  }
  const parsing = parseBody(bytes, encoding, exchange.options.inflatedBytesMax)
  if (!(parsing instanceof Promise) && parsing.kind === 'json') return parsing
  return keepUnread(exchange, known, { parsing, bytes, encoding })
}

/** Keeps a body that cannot be read, and refuses it. */
async function keepUnread(
  { deps, refuse }: Exchange,
  known: BodyKnown,
  given: {
    readonly parsing: ParsedBody | Promise<ParsedBody>
    readonly bytes: Uint8Array
    readonly encoding: BodyEncoding
  },
): Promise<JsonBody | undefined> {
  const { bytes, encoding } = given
  const parsed = await given.parsing
  if (parsed.kind === 'json') return parsed
  const { reason, says } = parsed
  if (known.found !== undefined) {
    const { sourceId } = known.found.source
    const refusal = { ...formatOf(known), reason, says, bytes, encoding }
    await deps.collector.rejectRequest(sourceId, refusal)
  }
  refuse(requestProblem(reason, says))
  return undefined
}

function formatOf({ format, route }: BodyKnown): Pick<BodyKnown, 'format' | 'route'> {
  return { ...(format === undefined ? {} : { format }), ...(route === undefined ? {} : { route }) }
}
