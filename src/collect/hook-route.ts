/**
 * Webhooks: `POST /v1/hooks/<source>`.
 *
 * Order of one delivery: source by name, signature over the raw body, repeat, JSON, meaning,
 * append, remember, answer. A wrong signature is answered 401 and leaves nothing: strangers fill no
 * disk. A repeat is answered 200 and dropped; after a restart the fold drops it by its event id,
 * which is the sender's id of the delivery.
 */

import type { Clock } from '../lib/clock.ts'
import { sha256Hex } from '../lib/hash.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Adapted, AdaptedRoute, Ask, AskBytes, Verdict } from './adapter.ts'
import { answerTaken, type Problem } from './collect-answer.ts'
import { keyProblem, secretProblem } from './collect-problem.ts'
import { adaptGeneric, proveGeneric } from './generic-hook.ts'
import { HookFields } from './hook-fields.ts'
import { fitDeliveryId, type HookFormat } from './hook-format.ts'
import type { ReplayCache } from './replay-cache.ts'
import type { SecretReader } from './secret-reader.ts'
import { shopifyHook } from './shopify-hook.ts'
import type { CollectSource } from './source-directory.ts'
import { createStripeHook } from './stripe-hook.ts'
import { woocommerceHook } from './woocommerce-hook.ts'

export interface HookRouteDeps {
  readonly clock: Clock
  readonly secrets: SecretReader
  readonly replays: ReplayCache
}

const sourceProblem: Problem = {
  status: 404,
  code: 'source-unknown',
  title: 'Not Found',
  detail: 'No source of this name takes webhooks.',
}

export function createHookRoute(deps: HookRouteDeps): AdaptedRoute {
  return {
    format: 'webhook',
    paths: ['/v1/hooks/:source'],
    method: 'POST',
    size: 'batch',
    findSource({ parameters, query, writeKey }, sources) {
      const found = sources.byId(parameters['source'] ?? '')
      const webhook = found?.source.webhook
      if (found === undefined || webhook === undefined) return sourceProblem
      if (webhook.kind !== 'generic' || webhook.signature !== undefined) return found
      const key = query.get('writeKey') ?? writeKey
      return key !== undefined && found.source.writeKeys.includes(key) ? found : keyProblem
    },
    verify: (ask, found) => verify(deps, ask, found),
    adapt: (ask, found) => adapt(ask, found),
    remember(ask, found) {
      for (const key of replayKeysOf(ask, found)) deps.replays.add(key)
    },
    answer: (response, taken, { headers, query }) =>
      answerTaken(response, taken, { prefer: headers.prefer, query: query.toString() }),
  }
}

async function verify(deps: HookRouteDeps, ask: AskBytes, found: CollectSource): Promise<Verdict> {
  const { webhook } = found.source
  if (webhook === undefined) return { kind: 'refused', problem: sourceProblem }
  const isKeyed = webhook.kind === 'generic' && webhook.signature === undefined
  if (!isKeyed) {
    const ref = webhook.kind === 'generic' ? webhook.signature?.secret : webhook.secret
    const secrets = ref === undefined ? [] : await deps.secrets.read(ref)
    if (secrets.length === 0) return { kind: 'refused', problem: secretProblem }
    const proof =
      webhook.kind === 'generic'
        ? proveGeneric(webhook, ask, secrets)
        : formatOf(found)?.prove(ask, secrets, deps.clock.nowMs())
    if (proof?.kind === 'hello') return { kind: 'done', outcome: 'dropped' }
    if (proof === undefined || proof.kind === 'wrong') {
      return { kind: 'refused', problem: signatureProblem(proof?.says ?? '') }
    }
  }
  const isRepeat = replayKeysOf(ask, found).some((key) => deps.replays.has(key))
  return isRepeat ? { kind: 'done', outcome: 'duplicate' } : { kind: 'go' }
}

function signatureProblem(detail: string): Problem {
  return { status: 401, code: 'signature-wrong', title: 'Unauthorized', detail }
}

function formatOf(found: CollectSource): HookFormat | undefined {
  const { webhook } = found.source
  if (webhook?.kind === 'shopify') return shopifyHook
  if (webhook?.kind === 'woocommerce') return woocommerceHook
  if (webhook?.kind === 'stripe') return createStripeHook(webhook.toleranceSeconds)
  return undefined
}

/**
 * What a repeat has in common with the delivery it repeats: the sender's id, and the body that was
 * signed. The id alone is not signed, so whoever replays a body could change it. Two events of the
 * generic kind may have the same body, unless it holds their ids.
 */
function replayKeysOf(ask: AskBytes, found: CollectSource): readonly string[] {
  const { sourceId, webhook } = found.source
  if (webhook?.kind === 'generic' && webhook.mapping.fields['messageId'] === undefined) return []
  const format = formatOf(found)
  const id = format?.deliveryIdOf(ask)
  const topic = format?.topicOf(ask) ?? ''
  const byBody = `${sourceId}\0body\0${topic}\0${sha256Hex(ask.bytes)}`
  return id === undefined ? [byBody] : [`${sourceId}\0id\0${sha256Hex(id)}`, byBody]
}

function adapt(ask: Ask, found: CollectSource): Adapted {
  const { webhook } = found.source
  if (webhook?.kind === 'generic') return adaptGeneric(ask.body, webhook.mapping)
  const format = formatOf(found)
  if (format === undefined || !isJsonObject(ask.body)) {
    return { kind: 'refused', reason: 'body-not-an-object', says: 'The body is a JSON object.' }
  }
  const original = ask.body
  const topic = format.topicOf(ask)
  const id = format.deliveryIdOf(ask) ?? `${topic} ${sha256Hex(ask.bytes)}`
  const fields = new HookFields(ask.body)
  const meaning = format.interpret(ask, fields, { topic, deliveryId: fitDeliveryId(id) })
  const [fault] = fields.faults
  if (fault !== undefined) {
    const refusal = { reason: 'item-unreadable', ...fault } as const
    return { kind: 'events', items: [{ original, refusal }] }
  }
  if (meaning.kind === 'dropped') return { kind: 'events', items: [], droppedCount: 1 }
  if (meaning.kind === 'unknown') {
    const refusal = { reason: 'item-kind-unknown', path: '', says: meaning.says } as const
    return { kind: 'events', items: [{ original, refusal }] }
  }
  if (meaning.kind === 'item') {
    return { kind: 'events', items: [{ original, catalogItem: meaning.item }] }
  }
  return { kind: 'events', items: meaning.events.map((event) => ({ original, event })) }
}
