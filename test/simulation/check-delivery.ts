/**
 * What was handed over: I8 (at most once, unclear is unknown), I10 (evidence gives the same
 * bytes), and that all ended.
 */

import type { Message, ResultSkeleton } from '../../src/campaign/message.ts'
import { decodeEvidence } from '../../src/delivery/evidence.ts'
import { sha256Hex } from '../../src/lib/hash.ts'
import { createMessageRenderer } from '../../src/template/render-message.ts'
import type { Template } from '../../src/template/template.ts'
import type { NaivePartition } from './naive-log.ts'
import type { SeenHandOver } from './observer.ts'
import type { Scene } from './simulate.ts'
import { partitionCount, signingKeys } from './world-definitions.ts'

const renderedAgainCount = 6
const unended = new Set(['due', 'granted', 'deferred'])

export async function checkDelivery(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  const messages = await loadMessages(scene)
  const results = new Map<string, ResultSkeleton>()
  for (const { records } of partitions) {
    for (const { record } of records) {
      if (record.kind !== 'result') continue
      const result = record.skeleton as ResultSkeleton
      const place = `${result.messageId}|${result.attempt}`
      // Of several results of one attempt the first that does not contradict counts; all are kept
      // to compare.
      if (!results.has(place)) results.set(place, result)
    }
  }
  checkOnce(scene, messages)
  const byMessage = Map.groupBy(scene.observer.handOvers, ({ messageId }) => messageId)
  for (const message of messages.values()) {
    checkMessage(scene, message, byMessage.get(message.messageId) ?? [], results)
  }
  for (const messageId of byMessage.keys()) {
    if (!messages.has(messageId)) scene.observer.violate('I8', `${messageId} is not in the state`)
  }
  await checkEvidence(scene, results)
}

export async function loadMessages({ store }: Scene): Promise<ReadonlyMap<string, Message>> {
  const messages = new Map<string, Message>()
  for (let partition = 0; partition < partitionCount; partition++) {
    for (const { value } of await store.scan(partition, 'message/', '', 10_000)) {
      const message = JSON.parse(Buffer.from(value).toString()) as Message
      messages.set(message.messageId, message)
    }
  }
  return messages
}

function checkOnce({ observer }: Scene, messages: ReadonlyMap<string, Message>): void {
  const places = new Set<string>()
  for (const { campaign, enrollmentId, step, messageId } of messages.values()) {
    const place = `${campaign} ${enrollmentId} ${step}`
    if (places.has(place)) observer.violate('I8', `${messageId} is the second of ${place}`)
    places.add(place)
  }
}

function checkMessage(
  { observer }: Scene,
  message: Message,
  handOvers: readonly SeenHandOver[],
  results: ReadonlyMap<string, ResultSkeleton>,
): void {
  const { messageId, state } = message
  const says = (text: string): void => observer.violate('I8', `${messageId} ${text}`)
  if (unended.has(state.kind)) observer.violate('liveness', `${messageId} is still ${state.kind}`)
  handOvers.slice(0, -1).forEach(({ outcome, attempt }) => {
    if (outcome !== 'deferred') says(`was handed over again after ${attempt} ended ${outcome}`)
  })
  const last = handOvers.at(-1)
  if (last === undefined) {
    if (state.kind === 'accepted') says('is accepted and was never handed over')
    return
  }
  const result = results.get(`${messageId}|${last.attempt}`)
  if (result === undefined && state.kind !== 'unknown') {
    says(`was handed over, nothing was reported, and it is ${state.kind}`)
  }
  if (state.attempt < last.attempt) says(`is at attempt ${state.attempt} of ${last.attempt}`)
  if (state.attempt > last.attempt) return
  const isTaken = last.outcome === 'accepted' || last.outcome === 'unknown, taken'
  if (isTaken && state.kind !== 'accepted' && state.kind !== 'unknown') {
    says(`was taken and is ${state.kind}`)
  }
  if (state.kind === 'accepted' && last.outcome !== 'accepted') {
    says(`is accepted and its hand-over ended ${last.outcome || 'without an answer'}`)
  }
}

/** Renders some messages again from what is stored, and once more with one value changed. */
async function checkEvidence(
  scene: Scene,
  results: ReadonlyMap<string, ResultSkeleton>,
): Promise<void> {
  const { observer, blobs, blobLosses, random } = scene
  const rendered = observer.handOvers.filter(({ messageId, attempt }) => {
    return results.get(`${messageId}|${attempt}`)?.evidenceHash !== undefined
  })
  const renderMessage = createMessageRenderer(signingKeys, { softMs: 60_000 })
  const render = (input: Parameters<typeof renderMessage>[0]): string => {
    const answer = renderMessage(input)
    return answer.kind === 'rendered' ? sha256Hex(answer.message.raw) : answer.says
  }
  for (let made = 0; made < renderedAgainCount && rendered.length > 0; made++) {
    const seen = rendered[Math.floor(random.unit() * rendered.length)] as SeenHandOver
    const result = results.get(`${seen.messageId}|${seen.attempt}`)
    const hash = result?.evidenceHash ?? ''
    const bytes = await blobs.get(hash)
    if (bytes === undefined && blobLosses.isLost(hash)) continue
    if (bytes === undefined) {
      observer.violate('I10', `${seen.messageId} has no evidence`)
      continue
    }
    const evidence = decodeEvidence(bytes)
    const templateBytes = await blobs.get(evidence.templateHash)
    const template = JSON.parse(Buffer.from(templateBytes ?? '{}').toString()) as Template
    const again = render({ ...evidence.input, template })
    if (again !== seen.rawHash || evidence.rawHash !== seen.rawHash) {
      observer.violate('I10', `${seen.messageId} attempt ${seen.attempt} renders to other bytes`)
    }
    const { values } = evidence.input
    const profile = { ...(values['profile'] as object), version: -1 }
    const input = { ...evidence.input, values: { ...values, profile } }
    if (render({ ...input, template }) === seen.rawHash) {
      observer.violate('I10', `${seen.messageId} renders alike from other values`)
    }
  }
}
