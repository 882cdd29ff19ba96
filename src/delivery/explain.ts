/**
 * Renders a message again from what was stored of it, and says whether the bytes are the same.
 *
 * Guarantee: with the stored inputs and the same renderer version the hash is that of the message
 * that was handed over. Nothing is read but the evidence: not the profile, not the catalog, not the
 * definitions of today. A `change` to one stored input, made in memory alone, shows that the
 * comparison can fail.
 */

import { sha256Hex } from '../lib/hash.ts'
import { isJsonObject, type Json } from '../lib/json.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { rendererVersion } from '../template/renderer-version.ts'
import type { RenderAnswer, RenderInput, Template } from '../template/template.ts'
import { decodeEvidence, type Evidence } from './evidence.ts'
import { findMessage, type StatePlace } from './read-state.ts'

export interface ExplainDeps {
  readonly place: StatePlace
  readonly blobs: Pick<BlobStore, 'get'>
  render(input: RenderInput): Promise<RenderAnswer>
}

/**
 * Puts `value` at `path` of the stored input: names and indexes joined by dots,
 * `values.profile.cart.0.price`.
 */
export interface InputChange {
  readonly path: string
  readonly value: Json
}

export interface Explained {
  readonly kind: 'explained'
  readonly isSame: boolean
  /** SHA-256 of the stored message and of the one rendered now. */
  readonly rawHash: string
  readonly renderedHash: string
  readonly rendererVersion: { readonly stored: string; readonly present: string }
  /** The first line in which the two differ; absent where they are the same. */
  readonly difference?: LineDifference
  readonly evidence: Evidence
}

export interface LineDifference {
  /** From 1. */
  readonly line: number
  readonly stored: string
  readonly rendered: string
}

export const explainRefusals = [
  'message-unknown',
  'not-rendered',
  'body-missing',
  'bad-change',
  'render-refused',
] as const
export type ExplainRefusal = (typeof explainRefusals)[number]

export type ExplainAnswer =
  | Explained
  | { readonly kind: 'refused'; readonly reason: ExplainRefusal; readonly says: string }

const lineCharactersMax = 300

/** Renders `messageId` again. Bad data is a value; it rejects only where a store does. */
export async function explainMessage(
  deps: ExplainDeps,
  messageId: string,
  change?: InputChange,
): Promise<ExplainAnswer> {
  const message = await findMessage(deps.place, messageId)
  if (message === undefined) return refuse('message-unknown', `no message ${messageId}`)
  const { evidenceHash } = message
  if (evidenceHash === undefined) {
    return refuse('not-rendered', `the message is ${message.state.kind} and was not rendered yet`)
  }
  const evidence = await findEvidence(deps.blobs, evidenceHash)
  if (evidence === undefined) return refuse('body-missing', `no blob ${evidenceHash} (evidence)`)
  const template = await readTemplate(deps.blobs, evidence.templateHash)
  if (template === undefined) {
    return refuse('body-missing', `no blob ${evidence.templateHash} (template)`)
  }
  const stored: RenderInput = { ...evidence.input, template }
  const input = change === undefined ? stored : changeInput(stored, change)
  if (input === undefined) {
    return refuse('bad-change', `the stored input has nothing at ${change?.path ?? ''}`)
  }
  const answer = await deps.render(input)
  if (answer.kind === 'refused') {
    return refuse('render-refused', `${answer.reason}: ${answer.says}`)
  }
  const { raw } = answer.message
  const renderedHash = sha256Hex(raw)
  const { rawHash } = evidence
  const isSame = renderedHash === rawHash
  const storedRaw = isSame ? undefined : await deps.blobs.get(rawHash)
  const difference = storedRaw === undefined ? undefined : findDifference(storedRaw, raw)
  return {
    kind: 'explained',
    isSame,
    rawHash,
    renderedHash,
    rendererVersion: { stored: evidence.input.rendererVersion, present: rendererVersion },
    ...(difference === undefined ? {} : { difference }),
    evidence,
  }
}

/** Returns the evidence of a hash, or undefined where the side store lacks it. */
export async function findEvidence(
  blobs: Pick<BlobStore, 'get'>,
  hash: string,
): Promise<Evidence | undefined> {
  const bytes = await blobs.get(hash)
  return bytes === undefined ? undefined : decodeEvidence(bytes)
}

async function readTemplate(
  blobs: Pick<BlobStore, 'get'>,
  hash: string,
): Promise<Template | undefined> {
  const bytes = await blobs.get(hash)
  return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString()) as Template)
}

/** Returns a changed copy; undefined where the path leads to nothing that is stored. */
function changeInput(stored: RenderInput, { path, value }: InputChange): RenderInput | undefined {
  const changed = changeAt(stored as unknown as Json, path.split('.'), value)
  return changed as RenderInput | undefined
}

function changeAt(target: Json, path: readonly string[], value: Json): Json | undefined {
  const [name, ...rest] = path
  if (name === undefined) return value
  if (Array.isArray(target)) {
    const items: readonly Json[] = target
    const index = /^\d{1,6}$/.test(name) ? Number(name) : -1
    const before = items[index]
    const after = before === undefined ? undefined : changeAt(before, rest, value)
    return after === undefined ? undefined : items.with(index, after)
  }
  if (!isJsonObject(target) || !Object.hasOwn(target, name)) return undefined
  const after = changeAt(target[name] ?? null, rest, value)
  return after === undefined ? undefined : { ...target, [name]: after }
}

function findDifference(stored: Uint8Array, rendered: Uint8Array): LineDifference | undefined {
  const storedLines = linesOf(stored)
  const renderedLines = linesOf(rendered)
  const countMax = Math.max(storedLines.length, renderedLines.length)
  for (let index = 0; index < countMax; index++) {
    const [before = '', after = ''] = [storedLines[index], renderedLines[index]]
    if (before === after) continue
    return {
      line: index + 1,
      stored: before.slice(0, lineCharactersMax),
      rendered: after.slice(0, lineCharactersMax),
    }
  }
  return undefined
}

function linesOf(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes).toString().split('\r\n')
}

function refuse(reason: ExplainRefusal, says: string): ExplainAnswer {
  return { kind: 'refused', reason, says }
}
