/** A line of an access log that a server writes as JSON, by the names of its fields. */

import { parseTimeMs } from '../event/event-time.ts'
import { isJsonObject } from '../lib/json.ts'
import { type AccessRequest, type ParsedAccess, parseAccessTime } from './access-log.ts'
import { decodeBytes } from './import-row.ts'

/** What a request is made of. Other names become fields that a definition can use. */
export const accessNames = [
  ...(['time', 'ip', 'method', 'url', 'status', 'userAgent', 'referrer', 'user'] as const),
] as const

/** Paths of the values, by their names; the first one that is there counts. */
export type AccessFields = Readonly<Record<string, readonly string[]>>

/** The names of nginx's variables, and those that other servers use. */
export const defaultAccessFields: AccessFields = {
  time: ['time_iso8601', 'time_local', 'msec', 'time', 'timestamp', '@timestamp', 'ts'],
  ip: ['remote_addr', 'ip', 'client_ip', 'remote_ip', 'request.remote_ip'],
  method: ['request_method', 'method', 'request.method'],
  url: ['request_uri', 'url', 'uri', 'path', 'request.uri'],
  status: ['status', 'status_code'],
  userAgent: ['http_user_agent', 'user_agent', 'userAgent'],
  referrer: ['http_referer', 'referer', 'referrer'],
  user: ['remote_user', 'user'],
}

export function parseAccessJson(line: string, fields: AccessFields): ParsedAccess {
  const text = decodeBytes(line)
  if (text === undefined) return refuse('', 'The line is not UTF-8.')
  const value = parseJsonLine(text)
  if (!isJsonObject(value)) return refuse('', 'The line is no JSON object.')
  const find = (name: string): unknown => findFirst(value, fields[name] ?? [])
  const texts = (name: string): string | undefined => textOf(find(name))
  const time = find('time')
  const atMs =
    parseTimeMs(secondsOf(time)) ?? (typeof time === 'string' ? parseAccessTime(time) : undefined)
  if (atMs === undefined) return refuse('time', 'The time is missing or cannot be read.')
  const target = texts('url')
  if (target === undefined) return refuse('url', 'The address that was asked for is missing.')
  const status = Number(find('status') ?? 200)
  if (!(status >= 100 && status <= 599)) return refuse('status', 'The status is no number.')
  const others: Record<string, string> = {}
  for (const name of Object.keys(fields)) {
    if (name !== 'user' && (accessNames as readonly string[]).includes(name)) continue
    const found = texts(name)
    if (found !== undefined) others[name] = found
  }
  const request: AccessRequest = {
    atMs,
    ip: texts('ip') ?? '',
    method: texts('method') ?? 'GET',
    target,
    status,
    userAgent: texts('userAgent'),
    referrer: texts('referrer'),
    fields: others,
  }
  return { kind: 'request', request }
}

export function parseJsonLine(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Servers write seconds with a fraction as text: `1764181956.123`. */
function secondsOf(time: unknown): unknown {
  return typeof time === 'string' && /^\d{9,10}\.\d{1,6}$/.test(time) ? Number(time) : time
}

function findFirst(value: unknown, paths: readonly string[]): unknown {
  for (const path of paths) {
    const found = findAt(value, path)
    if (found !== undefined && found !== null) return found
  }
  return undefined
}

/** A name with dots in it may stand in the line as it is. */
function findAt(value: unknown, path: string): unknown {
  if (isJsonObject(value) && Object.hasOwn(value, path)) return value[path]
  let at: unknown = value
  for (const name of path.split('.')) {
    // Some servers write each header as a list.
    const inner = Array.isArray(at) ? at[Number(name)] : at
    if (Array.isArray(at)) at = inner
    else if (isJsonObject(at) && Object.hasOwn(at, name)) at = at[name]
    else return undefined
  }
  return at
}

function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return textOf(value[0])
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' && value !== '-' ? value : undefined
}

function refuse(path: string, says: string): ParsedAccess {
  return { kind: 'refused', path, says }
}
