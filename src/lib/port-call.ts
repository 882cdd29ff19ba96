/**
 * Calls between threads: a function name and a value there, a value or an error back.
 *
 * Calls are answered in any order. An `OperatingError` keeps its code; other errors keep their
 * text. Calls waiting when the port closes are rejected, and so are those that come later. Not
 * bounded here: each caller bounds what it has under way, and how long it waits.
 */

import type { MessagePort, Worker } from 'node:worker_threads'
import { type Clock, nextTurn } from './clock.ts'
import { catalog, type ErrorCode, OperatingError } from './errors.ts'

type Port = Pick<MessagePort | Worker, 'postMessage'> & {
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'close' | 'exit', listener: () => void): unknown
}

interface Request {
  readonly call: number
  readonly name: string
  readonly input: unknown
}

type Reply =
  | { readonly answer: number; readonly value: unknown }
  | { readonly answer: number; readonly code: string; readonly says: string }

export type Handlers = Readonly<Record<string, (input: never) => unknown>>

/** Answers calls that come in on `port`. A name with no handler is answered by an error. */
export function servePort(port: Port, handlers: Handlers): void {
  port.on('message', (message) => {
    if (!isRequest(message)) return
    void answer(port, handlers, message)
  })
}

export interface PortCaller {
  call<Result>(name: string, input?: unknown): Promise<Result>
  /** Calls without an answer; what it throws is lost. */
  tell(name: string, input?: unknown): void
}

/** Returns what calls the other side of `port`. */
export function createPortCaller(port: Port): PortCaller {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let next = 1
  let hasEnded = false
  port.on('message', (message) => {
    if (!isReply(message)) return
    const call = waiting.get(message.answer)
    waiting.delete(message.answer)
    if ('value' in message) call?.resolve(message.value)
    else call?.reject(errorOf(message.code, message.says))
  })
  const onEnd = (): void => {
    hasEnded = true
    for (const call of waiting.values()) call.reject(endedError())
    waiting.clear()
  }
  port.on('close', onEnd)
  port.on('exit', onEnd)
  return {
    call<Result>(name: string, input?: unknown): Promise<Result> {
      // What is sent there is neither answered nor refused.
      if (hasEnded) return Promise.reject(endedError())
      const call = Promise.withResolvers<unknown>()
      waiting.set(next, call)
      port.postMessage({ call: next, name, input } satisfies Request)
      next++
      // The handler of this name on the other side answers with this type.
      return call.promise as Promise<Result>
    },
    tell(name, input) {
      port.postMessage({ call: tellNumber, name, input } satisfies Request)
    },
  }
}

function endedError(): OperatingError {
  return new OperatingError('THREAD_ENDED', 'ask another thread, which has ended')
}

/** Returns what `answer` resolves to within `msMax`, else undefined; rejects as it does. */
export async function answerWithin<Result>(
  clock: Clock,
  answer: Promise<Result>,
  msMax: number,
): Promise<Result | undefined> {
  const done = new AbortController()
  const late = async (): Promise<undefined> => {
    await clock.sleep(msMax, done.signal)
    // After a stall of this thread the timer comes before the messages that wait: they come first.
    if (!done.signal.aborted) await nextTurn()
  }
  try {
    return await Promise.race([answer, late()])
  } finally {
    // With a reason: the exception that stands for none takes a stack trace each time.
    done.abort('answered')
  }
}

/** The number of a call that wants no answer. */
const tellNumber = 0

async function answer(port: Port, handlers: Handlers, request: Request): Promise<void> {
  const handler = Object.hasOwn(handlers, request.name) ? handlers[request.name] : undefined
  try {
    if (handler === undefined) throw new Error(`no call named ${request.name}`)
    const value = await handler(request.input as never)
    if (request.call !== tellNumber)
      port.postMessage({ answer: request.call, value } satisfies Reply)
  } catch (error) {
    if (request.call === tellNumber) return
    const code = error instanceof OperatingError ? error.code : ''
    const says = error instanceof Error ? error.message : String(error)
    port.postMessage({ answer: request.call, code, says } satisfies Reply)
  }
}

function errorOf(code: string, says: string): Error {
  // Only codes of the catalogue are sent with a code.
  return Object.hasOwn(catalog, code)
    ? new OperatingError(code as ErrorCode, says)
    : new Error(says)
}

function isRequest(message: unknown): message is Request {
  return typeof message === 'object' && message !== null && 'call' in message
}

function isReply(message: unknown): message is Reply {
  return typeof message === 'object' && message !== null && 'answer' in message
}
