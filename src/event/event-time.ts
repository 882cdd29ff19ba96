/**
 * The time of an event: the producer's, corrected by how wrong its clock was when it sent, and kept
 * in bounds.
 *
 * corrected = received - (sent - timestamp), as Segment does it. The producer's clock cancels out.
 */

import type { EventLimits } from './event-limits.ts'

export type TimeNote =
  | 'skew-corrected'
  | 'future-bounded'
  | 'past-bounded'
  | 'missing'
  | 'unreadable'

export interface EventTime {
  readonly occurredAtMs: number
  readonly timeNote?: TimeNote
}

/**
 * A producer this far off has a wrong clock; less is the way through the network and the client's
 * queue.
 */
const skewNotedMs = 60_000

/** Digits of a number of seconds and of milliseconds; more are microseconds. */
const secondsMax = 1e11
const millisecondsMax = 1e14
const microsecondsMax = 1e17

const isoDate = /^(\d{4})-(\d\d)-(\d\d)/
const isoHour = /(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?/
const isoZone = /(?:[Zz]|([+-])(\d\d):?(\d\d))?$/
const isoTime = new RegExp(isoDate.source + isoHour.source + isoZone.source)

/** Returns when the event occurred. `timestamp` is as the producer wrote it. */
export function readEventTime(
  timestamp: unknown,
  times: { readonly receivedAtMs: number; readonly sentAtMs?: number },
  limits: Pick<EventLimits, 'pastMsMax' | 'futureMsMax'>,
): EventTime {
  const receivedAtMs = times.receivedAtMs
  if (timestamp === undefined || timestamp === null || timestamp === '') {
    return { occurredAtMs: receivedAtMs, timeNote: 'missing' }
  }
  const statedMs = parseTimeMs(timestamp)
  if (statedMs === undefined) return { occurredAtMs: receivedAtMs, timeNote: 'unreadable' }
  const skewMs = times.sentAtMs === undefined ? 0 : receivedAtMs - times.sentAtMs
  const correctedMs = statedMs + skewMs
  if (correctedMs > receivedAtMs + limits.futureMsMax) {
    return { occurredAtMs: receivedAtMs + limits.futureMsMax, timeNote: 'future-bounded' }
  }
  if (correctedMs < receivedAtMs - limits.pastMsMax) {
    return { occurredAtMs: receivedAtMs - limits.pastMsMax, timeNote: 'past-bounded' }
  }
  if (Math.abs(skewMs) < skewNotedMs) return { occurredAtMs: correctedMs }
  return { occurredAtMs: correctedMs, timeNote: 'skew-corrected' }
}

/**
 * Returns the instant of an ISO 8601 text (UTC where it names no zone), or of a number of seconds,
 * milliseconds or microseconds by its size. Answers undefined for days and hours that do not exist.
 */
export function parseTimeMs(input: unknown): number | undefined {
  if (typeof input === 'number') return epochMs(input)
  if (typeof input !== 'string' || input.length > 40) return undefined
  if (/^\d{9,17}$/.test(input)) return epochMs(Number(input))
  const parts = isoTime.exec(input)
  if (parts === null) return undefined
  const year = Number(parts[1])
  const month = Number(parts[2])
  const day = Number(parts[3])
  const hour = Number(parts[4] ?? 0)
  const minute = Number(parts[5] ?? 0)
  const second = Number(parts[6] ?? 0)
  const ms = parts[7] === undefined ? 0 : Math.floor(Number(`0.${parts[7]}`) * 1_000)
  const isLeapSecond = second === 60 && minute === 59
  if (hour > 23 || minute > 59 || (second > 59 && !isLeapSecond)) return undefined
  if (year < 100 || month < 1 || month > 12 || day < 1 || day > dayCount(year, month)) {
    return undefined
  }
  const zoneMinutes = Number(parts[9] ?? 0) * 60 + Number(parts[10] ?? 0)
  if (zoneMinutes > 14 * 60) return undefined
  const zoneMs = (parts[8] === '-' ? -zoneMinutes : zoneMinutes) * 60_000
  return Date.UTC(year, month - 1, day, hour, minute, second, ms) - zoneMs
}

function epochMs(number: number): number | undefined {
  if (!(number >= 0 && number < microsecondsMax)) return undefined
  if (number < secondsMax) return Math.floor(number * 1_000)
  return number < millisecondsMax ? Math.floor(number) : Math.floor(number / 1_000)
}

function dayCount(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
}
