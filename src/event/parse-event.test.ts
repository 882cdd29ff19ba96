import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { defaultEventLimits } from './event-limits.ts'
import { parseTimeMs, readEventTime } from './event-time.ts'
import { type ParseEventDeps, parseEvent } from './parse-event.ts'

const receivedAtMs = Date.UTC(2026, 10, 23, 12)
const minuteMs = 60_000

interface BadInput {
  readonly class: number
  readonly says: string
  /** `<<x*3>>` stands for `xxx`. */
  readonly json: string
  readonly outcome: string
  readonly path?: string
}

const badInputs = readFixture('event-bad-input.json') as readonly BadInput[]
const times = readFixture('event-time.json') as readonly { timestamp: unknown; ms: number | null }[]

function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../test/fixtures/${name}`, import.meta.url), 'utf8'))
}

function expand(json: string): string {
  return json.replaceAll(/<<(.+?)\*(\d+)>>/g, (_, text: string, count) =>
    text.repeat(Number(count)),
  )
}

function depsWith(over: Partial<ParseEventDeps> = {}): ParseEventDeps {
  const makeEventId = (): string => 'made'
  return { sourceId: 'web', receivedAtMs, makeEventId, limits: defaultEventLimits, ...over }
}

function accept(input: object, over: Partial<ParseEventDeps> = {}) {
  const parsed = parseEvent(input, depsWith(over))
  assert.equal(parsed.kind, 'event', JSON.stringify(parsed))
  return parsed.kind === 'event' ? parsed.event : assert.fail()
}

describe('parseEvent', () => {
  for (const input of badInputs) {
    it(`answers ${input.outcome} for class ${input.class}: ${input.says}`, () => {
      const parsed = parseEvent(JSON.parse(expand(input.json)), depsWith())
      assert.equal(parsed.kind === 'event' ? 'event' : parsed.reason, input.outcome)
      if (input.path === undefined) return
      assert.equal(parsed.kind === 'refused' ? parsed.path : 'none', input.path)
    })
  }

  it('answers the same for JSON without a backslash where it is told that there is none', () => {
    const limits = { ...defaultEventLimits, stringBytesMax: 12, keyLengthMax: 8, depthMax: 4 }
    const text = fc.string({ unit: 'binary', maxLength: 15 })
    const property = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.double(),
        text,
        fc.dictionary(text, tie('value'), { maxKeys: 3 }),
      ),
    })).value
    fc.assert(
      fc.property(fc.dictionary(text, property, { maxKeys: 3 }), (properties) => {
        const input = { type: 'track', event: 'A', messageId: 'm', userId: 'ada', properties }
        const json = JSON.stringify(input)
        fc.pre(!json.includes('\\'))
        const sent: unknown = JSON.parse(Buffer.from(json).toString())
        const told = parseEvent(sent, depsWith({ limits, hasEscapes: false }))
        assert.deepEqual(told, parseEvent(sent, depsWith({ limits })))
      }),
      { numRuns: 100 },
    )
  })

  it("makes an event of a track call, with the name in today's spelling", () => {
    const event = accept({
      type: 'track',
      event: 'Completed Order',
      messageId: 'm1',
      userId: 7,
      anonymousId: 'device',
      timestamp: '2026-11-23T11:00:00Z',
      properties: { total: 5, currency: 'usd' },
      context: { locale: 'de' },
      integrations: { All: true },
    })
    assert.deepEqual(event, {
      eventId: 'm1',
      sourceId: 'web',
      type: 'track',
      name: 'Order Completed',
      userId: '7',
      anonymousId: 'device',
      occurredAtMs: receivedAtMs - 60 * minuteMs,
      receivedAtMs,
      properties: { total: 5, currency: 'USD' },
      context: { locale: 'de' },
      changes: [
        { kind: 'read', path: '/event', was: 'Completed Order' },
        { kind: 'read', path: '/properties/currency', was: 'usd' },
      ],
    })
  })

  it('keeps all of the context, and what a consent manager says in it', () => {
    const context = {
      ...{ locale: 'de', ip: '0.0.0.0', page: { url: 'https://shop.example/' }, odd: [1] },
      consent: { categoryPreferences: { Analytics: true, Advertising: false } },
    }
    const event = accept({ type: 'page', anonymousId: 'a', context })
    assert.deepEqual(event.context, context)
    assert.equal(event.changes, undefined)
  })

  it('tells the name of a page that its properties name otherwise', () => {
    const event = accept({ type: 'page', userId: 'u', name: 'Home', properties: { name: 'Start' } })
    assert.deepEqual(event.properties, { name: 'Start' })
    assert.deepEqual(event.changes, [{ kind: 'left', path: '/name', was: 'Home' }])
  })

  it("corrects a wrong clock by the time of sending, of the batch before the event's", () => {
    const skews = fc.integer({ min: -400 * 86_400_000, max: 400 * 86_400_000 })
    const agos = fc.integer({ min: 0, max: 30 * 86_400_000 })
    const property = fc.property(skews, agos, fc.boolean(), (skewMs, agoMs, isBatch) => {
      const sentAtMs = receivedAtMs + skewMs
      const times = {
        timestamp: new Date(sentAtMs - agoMs).toISOString(),
        sentAt: new Date(isBatch ? 0 : sentAtMs).toISOString(),
      }
      const over = isBatch ? { sentAtMs } : {}
      const event = accept({ type: 'page', userId: 'u', ...times }, over)
      assert.equal(event.occurredAtMs, receivedAtMs - agoMs)
      assert.equal(event.receivedAtMs, receivedAtMs)
    })
    fc.assert(property)
  })

  it('bounds any time that a producer may state, and says so', () => {
    const times = fc.oneof(fc.maxSafeNat(), fc.date({ noInvalidDate: true }))
    const property = fc.property(times, times, (timestamp, sentAt) => {
      const event = accept(
        JSON.parse(JSON.stringify({ type: 'page', userId: 'u', timestamp, sentAt })),
      )
      const { pastMsMax, futureMsMax } = defaultEventLimits
      assert.ok(event.occurredAtMs >= receivedAtMs - pastMsMax)
      assert.ok(event.occurredAtMs <= receivedAtMs + futureMsMax)
      const isAtBound =
        event.occurredAtMs === receivedAtMs - pastMsMax ||
        event.occurredAtMs === receivedAtMs + futureMsMax
      if (isAtBound) assert.match(event.timeNote ?? '', /bounded/)
    })
    fc.assert(property)
  })

  it('puts the name of a page among its properties', () => {
    const event = accept({
      type: 'page',
      anonymousId: 'a1',
      name: 'Home',
      properties: { path: '/' },
    })
    assert.equal(event.name, 'Page Viewed')
    assert.deepEqual(event.properties, { path: '/', name: 'Home' })
  })

  it('keeps who a person was of alias, and the group of group', () => {
    assert.equal(accept({ type: 'alias', userId: 'u', previousId: 'a' }).previousId, 'a')
    assert.equal(accept({ type: 'alias', userId: 'u', anonymousId: 'a' }).previousId, 'a')
    assert.equal(accept({ type: 'group', userId: 'u', groupId: 12 }).groupId, '12')
  })

  it('lets the path decide the type, and an event its own context over that of the batch', () => {
    const input = { type: 'track', userId: 'u', context: { locale: 'de' } }
    const event = accept(input, { type: 'page', batchContext: { locale: 'en', app: 'shop' } })
    assert.equal(event.type, 'page')
    assert.deepEqual(event.context, { locale: 'de', app: 'shop' })
  })

  it('ends any JSON value as exactly one of event and refused, and pollutes nothing', () => {
    const field = fc.constantFrom('type', 'event', 'userId', 'anonymousId', 'messageId', 'context')
    const more = fc.constantFrom(
      'properties',
      'traits',
      'timestamp',
      'sentAt',
      '__proto__',
      'groupId',
    )
    const text = fc.constantFrom('track', 'page', 'identify', 'alias', 'group', 'ada', 'null', '')
    const value = fc.oneof(text, fc.jsonValue({ depthSize: 'medium' }))
    const likely = fc.array(fc.tuple(fc.oneof(field, more), value)).map((pairs) => {
      const fields = pairs.map(([name, held]) => `${JSON.stringify(name)}:${JSON.stringify(held)}`)
      return `{${['"type":"track","event":"e","userId":"u"', ...fields].join(',')}}`
    })
    const any = fc.oneof(likely, fc.json())
    let acceptedCount = 0
    const property = fc.property(any, (json) => {
      const parsed = parseEvent(JSON.parse(json), depsWith())
      if (parsed.kind === 'refused') {
        assert.ok(parsed.reason !== undefined && parsed.says !== '')
        return
      }
      acceptedCount += 1
      const { event } = parsed
      assert.deepEqual(JSON.parse(JSON.stringify(event)), JSON.parse(JSON.stringify({ ...event })))
      assert.ok(event.userId !== undefined || event.anonymousId !== undefined)
      assert.ok(event.occurredAtMs <= receivedAtMs + defaultEventLimits.futureMsMax)
    })
    fc.assert(property, { numRuns: 3_000 })
    assert.ok(acceptedCount > 100, `${acceptedCount} of the values are events`)
    assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  })
})

describe('readEventTime', () => {
  for (const { timestamp, ms } of times) {
    it(`reads ${JSON.stringify(timestamp)} as ${ms}`, () => {
      assert.equal(parseTimeMs(timestamp), ms ?? undefined)
    })
  }

  it('says where a time is missing, unreadable, far ahead or far behind', () => {
    const read = (timestamp: unknown) =>
      readEventTime(timestamp, { receivedAtMs }, defaultEventLimits)
    assert.deepEqual(read(undefined), { occurredAtMs: receivedAtMs, timeNote: 'missing' })
    assert.deepEqual(read('2026-02-30'), { occurredAtMs: receivedAtMs, timeNote: 'unreadable' })
    const ahead = { occurredAtMs: receivedAtMs + 5 * minuteMs, timeNote: 'future-bounded' }
    assert.deepEqual(read('9999-01-01T00:00:00Z'), ahead)
    const behindMs = receivedAtMs - defaultEventLimits.pastMsMax
    assert.deepEqual(read(0), { occurredAtMs: behindMs, timeNote: 'past-bounded' })
    const atBound = receivedAtMs + 5 * minuteMs
    assert.deepEqual(read(atBound), { occurredAtMs: atBound })
  })

  it("finds the true time whatever the skew of the producer's clock", () => {
    const years = 3 * 365 * 86_400_000
    const skews = fc.integer({ min: -years, max: years })
    const agos = fc.integer({ min: 0, max: 86_400_000 })
    const property = fc.property(skews, agos, (skewMs, agoMs) => {
      const sentAtMs = receivedAtMs + skewMs
      const time = readEventTime(sentAtMs - agoMs, { receivedAtMs, sentAtMs }, defaultEventLimits)
      assert.equal(time.occurredAtMs, receivedAtMs - agoMs)
      assert.equal(time.timeNote, Math.abs(skewMs) < minuteMs ? undefined : 'skew-corrected')
    })
    fc.assert(property)
  })
})
