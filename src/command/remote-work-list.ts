/**
 * The list of rejected events over the API of a server: for an operator who is not on its machine,
 * or where the server has the data directory.
 *
 * A call that is answered 429 or 503, or not at all, is made again, a few times: each is a bounded
 * page whose repeat is harmless.
 */

import { readFile } from 'node:fs/promises'
import type { RejectedGroup } from '../collect/rejected-index.ts'
import type { RejectedList, WorkList } from '../collect/work-list.ts'
import { isLoopback } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { refuseUse, showText } from './output.ts'

export interface RemoteTarget {
  readonly url: string
  readonly key: string
}

export interface Problem {
  readonly detail?: string
  readonly code?: string
  readonly faults?: readonly { readonly path: string; readonly says: string }[]
}

const tryCountMax = 5
const tryPauseMs = 1_000
const answerMsMax = 60_000
const listCount = 1_000
const faultCountShown = 20
const okStatus = 200
const notFoundStatus = 404
const retryStatuses: ReadonlySet<number> = new Set([429, 503])

/** Returns where the flags point to; nothing where they name no server. */
export async function readTarget(
  flags: {
    readonly url?: string
    readonly keyFile?: string
  },
  scope = 'repair',
): Promise<RemoteTarget | undefined> {
  if (flags.url === undefined) {
    return flags.keyFile === undefined ? undefined : refuseUse('--key-file goes with --url')
  }
  const url = URL.parse(flags.url)
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
  if (url === null || !isSafe) {
    return refuseUse('--url must be https; http only for this machine, since a key goes with it')
  }
  if (flags.keyFile === undefined) return refuseUse(`give --key-file, with a key of scope ${scope}`)
  const key = await readFile(flags.keyFile, 'utf8').catch((error: unknown) => {
    throw new OperatingError('CONFIG_INVALID', `read ${flags.keyFile}`, error)
  })
  return { url: url.origin, key: key.trim() }
}

export function createRemoteWorkList(
  deps: { readonly clock: Clock },
  target: RemoteTarget,
): WorkList {
  const ask = async <Answer>(path: string, body?: object): Promise<Answer | undefined> => {
    const answer = await askAgain(deps.clock, target, { path: `/api/v1/rejected${path}`, body })
    if (answer.status === okStatus) return (await answer.json()) as Answer
    const problem = (await answer.json().catch(() => ({}))) as Problem
    if (answer.status === notFoundStatus && problem.code === 'rejected-unknown') return undefined
    throw refusalOf(target, answer.status, problem)
  }
  const post = async <Answer>(path: string, body: object): Promise<Answer> => {
    const answer = await ask<Answer>(path, body)
    if (answer === undefined) throw refusalOf(target, notFoundStatus, {})
    return answer
  }
  return {
    async list() {
      const groups: RejectedGroup[] = []
      for (let cursor = ''; ; ) {
        const query = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
        const page = await ask<RejectedList & { readonly cursor?: string }>(
          `?count=${listCount}${query}`,
        )
        if (page === undefined) throw refusalOf(target, notFoundStatus, {})
        const { cursor: next, ...list } = page
        groups.push(...list.groups)
        if (next === undefined) return { ...list, groups }
        cursor = next
      }
    },
    find: (id) => ask(`/${encodeURIComponent(id)}`),
    tryRepair: (selection, repair, limits) =>
      post('/repair', { selection, repair: repair?.written, ...limits }),
    replay: (selection, repair, options) =>
      post('/replay', { selection, repair: repair?.written, ...options }),
    dismiss: (selection, options) => post('/dismiss', { selection, ...options }),
  }
}

/** A question to a server; `path` is below its origin. With CSV it is put, with a body posted. */
export interface RemoteCall {
  readonly path: string
  readonly body?: object | undefined
  readonly csv?: Uint8Array
}

/** Asks a server, again while it has no time. */
export async function askAgain(
  clock: Clock,
  { url, key }: RemoteTarget,
  { path, body, csv }: RemoteCall,
): Promise<Response> {
  const type = csv === undefined ? 'application/json' : 'text/csv'
  const sent = csv === undefined ? JSON.stringify(body) : Buffer.from(csv)
  let last: unknown
  for (let count = 0; count < tryCountMax; count++) {
    if (count > 0) await clock.sleep(tryPauseMs)
    try {
      const answer = await fetch(`${url}${path}`, {
        method: csv !== undefined ? 'PUT' : body !== undefined ? 'POST' : 'GET',
        headers: { authorization: `Bearer ${key}`, 'content-type': type },
        redirect: 'error',
        signal: AbortSignal.timeout(answerMsMax),
        ...(sent === undefined ? {} : { body: sent }),
      })
      const isLast = count === tryCountMax - 1
      if (!retryStatuses.has(answer.status) || isLast) return answer
      await answer.arrayBuffer()
    } catch (error) {
      last = error
    }
  }
  throw new OperatingError('SERVER_UNREACHABLE', `ask ${url}`, last)
}

/** Returns the refusal of a server as an error. */
export function refusalOf(target: RemoteTarget, status: number, problem: Problem): OperatingError {
  const says = showText(problem.detail ?? 'it is no server of this version')
  const faults = faultLines(problem.faults ?? [])
  return new OperatingError('SERVER_REFUSED', `ask ${target.url}: ${status}: ${says}${faults}`)
}

/** Returns a line for each fault, as far as somebody will read. */
export function faultLines(faults: NonNullable<Problem['faults']>): string {
  const lines = faults.slice(0, faultCountShown).map(({ path, says }) => `${path} ${says}`.trim())
  const more = faults.length - faultCountShown
  if (more > 0) lines.push(`and ${more} more`)
  return lines.map((line) => `\n  ${showText(line)}`).join('')
}
