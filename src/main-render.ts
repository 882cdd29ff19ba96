/**
 * A render thread of `template/render-pool.ts`. It says that it is ready, then answers each batch
 * of requests with a batch of answers. Before each request it writes its number into shared
 * memory, so that the pool knows which one to blame if the thread has to be killed.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from './lib/assert.ts'
import { createMessageRenderer } from './template/render-message.ts'
import type { RenderReply, RenderRequest, RenderWorkerData } from './template/render-pool.ts'
import type { Template } from './template/template.ts'

/**
 * Answers go back in groups of this many, so that the first of a batch need not wait for the last.
 */
const replyCountMax = 16

const port = parentPort
assert(port !== null, 'this file is started as a thread')
// The pool wrote it; the type is a promise between two files of ours.
const { keys, softMs, progress } = workerData as RenderWorkerData
const renderMessage = createMessageRenderer(keys, { softMs })

/** By place, as the pool chose it. */
const templates: Template[] = []

port.on('message', (requests: readonly RenderRequest[]) => {
  let replies: RenderReply[] = []
  for (const [number, input, place, given] of requests) {
    Atomics.store(progress, 0, number)
    const template = given ?? templates[place]
    assert(template !== undefined, 'the pool sends a template before it names its place')
    templates[place] = template
    replies.push([number, renderMessage({ ...input, template })])
    if (replies.length < replyCountMax) continue
    send(replies)
    replies = []
  }
  Atomics.store(progress, 0, 0)
  if (replies.length > 0) send(replies)
})

/** The bytes of the messages change hands; the rest is copied. */
function send(replies: readonly RenderReply[]): void {
  const bytes = replies.flatMap(([, answer]) =>
    answer.kind === 'rendered' ? [answer.message.raw.buffer] : [],
  )
  port?.postMessage(replies, bytes)
}

port.postMessage('ready')
