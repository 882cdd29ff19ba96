/**
 * The date filters of Liquid, by ourselves: those of the library read the system's clock for `now`
 * and the system's time zone for the rest, and a message must have the same bytes in every
 * process.
 *
 * `now` and `today` are the message's own date. A date without a zone is UTC. A zone is shown only
 * where the template names one: `{{ x | date: "%H:%M", "Europe/Paris" }}`, or a count of minutes
 * as in the library (-120 is UTC+2).
 */

const dayMs = 86_400_000
const widthMax = 64
const formatCharactersMax = 200
const formatDefault = '%A, %B %-e, %Y at %-l:%M %P %z'

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** A moment as a wall clock shows it: the UTC fields of `shown` are the local ones. */
interface Moment {
  readonly shown: Date
  readonly atMs: number
  readonly offsetMinutes: number
  readonly zone: string
}

/** Returns `value` by `format`, or `value` itself if it is no date. `nowMs` stands for `now`. */
export function formatDate(value: unknown, format: unknown, zone: unknown, nowMs: number): unknown {
  const atMs = parseDateMs(value, nowMs)
  if (atMs === undefined) return value
  const moment = momentAt(atMs, zone)
  const pattern = format === undefined || format === null ? formatDefault : String(format)
  return pattern
    .slice(0, formatCharactersMax)
    .replace(
      /%([-_0^#:]?)(\d{0,2})([a-zA-Z%])/g,
      (whole, flag: string, width: string, code: string) =>
        formatField(moment, flag, width, code) ?? whole,
    )
}

/** Returns milliseconds since 1970, or undefined. Numbers and digits are seconds, as in Liquid. */
export function parseDateMs(value: unknown, nowMs: number): number | undefined {
  if (value === 'now' || value === 'today') return nowMs
  const isSeconds = typeof value === 'string' && /^\d{1,15}$/.test(value)
  if (typeof value === 'number' || isSeconds) return within(Number(value) * 1000)
  if (typeof value !== 'string' || value.length > 64) return undefined
  const text = value.trim()
  if (text === '') return undefined
  if (/^[+-]?\d{4,6}(-\d\d){0,2}$/.test(text)) return within(Date.parse(text))
  const hasZone = /(Z|GMT|UTC|[+-]\d\d:?\d\d|[ECMP][SD]T)\s*(\([^()]*\))?$/i.test(text)
  if (hasZone) return within(Date.parse(text))
  return within(Date.parse(/^\d{4}-\d\d-\d\dT/.test(text) ? `${text}Z` : `${text} UTC`))
}

function within(ms: number): number | undefined {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? Math.trunc(ms) : undefined
}

function momentAt(atMs: number, zone: unknown): Moment {
  const offsetMinutes = offsetMinutesAt(atMs, zone)
  const name = typeof zone === 'string' && offsetMinutes !== undefined ? zone : 'UTC'
  const shownMs = within(atMs + (offsetMinutes ?? 0) * 60_000) ?? atMs
  return { shown: new Date(shownMs), atMs, offsetMinutes: offsetMinutes ?? 0, zone: name }
}

/** Minutes east of UTC, or undefined for a zone nobody knows. */
function offsetMinutesAt(atMs: number, zone: unknown): number | undefined {
  if (typeof zone === 'number' && Math.abs(zone) <= 24 * 60) return -zone
  if (typeof zone !== 'string') return undefined
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      timeZoneName: 'longOffset',
    }).formatToParts(atMs)
    const text = parts.find((part) => part.type === 'timeZoneName')?.value ?? ''
    const [, sign, hours, minutes] = /^GMT([+-])(\d\d):(\d\d)/.exec(text) ?? []
    if (hours === undefined || minutes === undefined) return 0
    return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
  } catch {
    // An unknown zone is a slip in a template: the date is shown in UTC, and %Z says so.
    return undefined
  }
}

function formatField(
  moment: Moment,
  flag: string,
  width: string,
  code: string,
): string | undefined {
  const names = nameField(moment, flag, code)
  const text = names ?? numberField(moment, flag, code)
  if (text === undefined) return undefined
  const cased = flag === '^' ? text.toUpperCase() : text
  return cased.padStart(Math.min(Number(width), widthMax), names === undefined ? '0' : ' ')
}

function nameField(
  { shown, offsetMinutes, zone }: Moment,
  flag: string,
  code: string,
): string | undefined {
  const month = months[shown.getUTCMonth()] ?? ''
  const day = days[shown.getUTCDay()] ?? ''
  const half = shown.getUTCHours() < 12 ? 'am' : 'pm'
  switch (code) {
    case 'a':
      return day.slice(0, 3)
    case 'A':
      return day
    case 'b':
    case 'h':
      return month.slice(0, 3)
    case 'B':
      return month
    case 'p':
      return flag === '#' ? half : half.toUpperCase()
    case 'P':
      return half
    case 'q':
      return ordinal(shown.getUTCDate())
    case 'Z':
      return zone
    case 'z':
      return offsetText(offsetMinutes, flag)
    case 'c':
      return shown.toISOString().slice(0, 19).replace('T', ' ')
    case 'x':
    case 'F':
      return shown.toISOString().slice(0, 10)
    case 'X':
    case 'T':
      return shown.toISOString().slice(11, 19)
    case 'n':
      return '\n'
    case 't':
      return '\t'
    case '%':
      return '%'
    default:
      return undefined
  }
}

function numberField(moment: Moment, flag: string, code: string): string | undefined {
  const field = numberOf(moment, code)
  if (field === undefined) return undefined
  const [value, digits] = field
  const isSpaced = flag === '_' || (flag !== '0' && 'ekl'.includes(code))
  return flag === '-' ? String(value) : String(value).padStart(digits, isSpaced ? ' ' : '0')
}

function numberOf({ shown, atMs }: Moment, code: string): readonly [number, number] | undefined {
  const year = shown.getUTCFullYear()
  const hour = shown.getUTCHours()
  const yearStartMs = Date.UTC(year, 0, 1)
  const dayOfYear = Math.floor((shown.getTime() - yearStartMs) / dayMs) + 1
  const fields: Record<string, readonly [number, number]> = {
    C: [Math.floor(year / 100), 2],
    d: [shown.getUTCDate(), 2],
    e: [shown.getUTCDate(), 2],
    H: [hour, 2],
    I: [hour % 12 || 12, 2],
    j: [dayOfYear, 3],
    k: [hour, 2],
    l: [hour % 12 || 12, 2],
    L: [shown.getUTCMilliseconds(), 3],
    m: [shown.getUTCMonth() + 1, 2],
    M: [shown.getUTCMinutes(), 2],
    N: [shown.getUTCMilliseconds() * 1_000_000, 9],
    s: [Math.floor(atMs / 1000), 1],
    S: [shown.getUTCSeconds(), 2],
    u: [shown.getUTCDay() || 7, 1],
    U: [Math.floor((dayOfYear + 6 - shown.getUTCDay()) / 7), 2],
    w: [shown.getUTCDay(), 1],
    W: [Math.floor((dayOfYear + 6 - ((shown.getUTCDay() + 6) % 7)) / 7), 2],
    y: [((year % 100) + 100) % 100, 2],
    Y: [year, 4],
  }
  return Object.hasOwn(fields, code) ? fields[code] : undefined
}

function ordinal(day: number): string {
  if (day >= 11 && day <= 13) return 'th'
  return ['th', 'st', 'nd', 'rd'][day % 10] ?? 'th'
}

function offsetText(offsetMinutes: number, flag: string): string {
  const minutes = Math.abs(offsetMinutes)
  const hours = String(Math.floor(minutes / 60)).padStart(2, '0')
  const rest = String(minutes % 60).padStart(2, '0')
  return `${offsetMinutes < 0 ? '-' : '+'}${hours}${flag === ':' ? ':' : ''}${rest}`
}
