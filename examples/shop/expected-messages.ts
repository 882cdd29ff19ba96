/**
 * The naive program: says which emails are due, from what was sent and the campaigns' plain
 * meaning.
 *
 * It is the second opinion on the whole system, so it imports nothing from `src/` and shares no
 * idea with it: one person's events in a list, walked once per campaign. The three campaigns of
 * this shop are written out by hand.
 *
 * - cart-reminder: `Product Added` starts; after the wait one message, unless `Order Completed`
 *   came before.
 * - thank-you: `Order Completed` starts; after the wait one message.
 * - loyal-welcome: the order that makes at least three within 365 days starts; after the wait one
 *   message.
 *
 * One passage per person and campaign at a time; a start while one is under way is ignored. Orders
 * of the past (`isBackfill`) start nothing but count for loyal-welcome. A message needs an address
 * when it is due. A duplicate (same messageId) and an event without what it must have do not count.
 */

/** What this program needs to know of a Segment call; all may be missing or wrong. */
export interface SentCall {
  /** When the log took it, which is when it counts from; of the past, when it happened. */
  readonly sentAtMs: number
  readonly isBackfill?: boolean
  readonly call: {
    readonly type: string
    readonly messageId?: string
    readonly userId?: string
    readonly anonymousId?: string
    readonly event?: string
    readonly properties?: { readonly [name: string]: unknown }
    readonly traits?: { readonly [name: string]: unknown }
  }
}

export interface CampaignTimes {
  readonly cartWaitMs: number
  readonly thankYouWaitMs: number
  readonly loyalWaitMs: number
  /** Messages due after this instant are not counted. Absent: all. */
  readonly untilMs?: number
}

export const campaignNames = ['cart-reminder', 'thank-you', 'loyal-welcome'] as const
export type CampaignName = (typeof campaignNames)[number]

export interface DueMessage {
  readonly campaign: CampaignName
  readonly person: string
  readonly startedAtMs: number
  readonly dueAtMs: number
  /**
   * When what ends the campaign came after the message was due: one that was not handed over by
   * then must not be any more.
   */
  exitAtMs?: number
}

export interface ExpectedMessages {
  readonly messagesDue: number
  readonly byCampaign: Readonly<Record<CampaignName, number>>
  /** By user id, in order of due time. */
  readonly byPerson: ReadonlyMap<string, readonly DueMessage[]>
  readonly duplicates: number
  readonly invalid: number
  /**
   * The nearest that an event came to the end of a wait that it could have changed. Small against
   * the delays of the system under test, the count is not to be relied on. Infinity if none did.
   */
  readonly tightestMs: number
}

const loyalOrderCount = 3
const loyalWindowMs = 365 * 24 * 3_600_000

/** Returns the messages that are due, of what was sent. `sentCalls` may come in any order. */
export function countMessagesDue(
  sentCalls: readonly SentCall[],
  times: CampaignTimes,
): ExpectedMessages {
  const { valid, duplicates, invalid } = sift(sentCalls)
  const byPerson = new Map<string, readonly DueMessage[]>()
  const byCampaign = { 'cart-reminder': 0, 'thank-you': 0, 'loyal-welcome': 0 }
  let messagesDue = 0
  let tightestMs = Number.POSITIVE_INFINITY
  // Who is not known by a user id has no address, so gets nothing.
  const named = valid.filter(({ call }) => call.userId !== undefined)
  for (const [person, events] of Map.groupBy(named, ({ call }) => call.userId ?? '')) {
    const walks = [
      walk('cart-reminder', times.cartWaitMs, { events, isStart: isCartStart, isExit: isOrder }),
      walk('thank-you', times.thankYouWaitMs, { events, isStart: isOrder, isExit: never }),
      walk('loyal-welcome', times.loyalWaitMs, { events, isStart: isThirdOrder, isExit: never }),
    ]
    const due = walks
      .flatMap((walked) => walked.due)
      .filter(({ dueAtMs }) => dueAtMs <= (times.untilMs ?? dueAtMs))
      .filter(({ dueAtMs }) => hasAddress(events, dueAtMs))
      .map((message) => ({ ...message, person }))
      .sort((left, right) => left.dueAtMs - right.dueAtMs)
    tightestMs = Math.min(tightestMs, ...walks.map((walked) => walked.tightestMs))
    for (const { campaign } of due) byCampaign[campaign]++
    messagesDue += due.length
    if (due.length > 0) byPerson.set(person, due)
  }
  return { messagesDue, byCampaign, byPerson, duplicates, invalid, tightestMs }
}

function sift(sentCalls: readonly SentCall[]) {
  const inOrder = [...sentCalls].sort((left, right) => left.sentAtMs - right.sentAtMs)
  const seen = new Set<string>()
  const valid: SentCall[] = []
  let duplicates = 0
  let invalid = 0
  for (const sent of inOrder) {
    const id = sent.call.messageId
    if (!isValidCall(sent.call)) invalid++
    else if (id !== undefined && seen.has(id)) duplicates++
    else {
      if (id !== undefined) seen.add(id)
      valid.push(sent)
    }
  }
  return { valid, duplicates, invalid }
}

/** Tells whether a call has what its kind must have. */
export function isValidCall(call: SentCall['call']): boolean {
  if (!isText(call.userId) && !isText(call.anonymousId)) return false
  if (call.type !== 'track') return true
  const properties = call.properties ?? {}
  if (call.event === 'Product Viewed') return isText(properties['product_id'])
  if (call.event === 'Product Added') {
    return isText(properties['product_id']) && Number(properties['quantity']) >= 1
  }
  if (call.event === 'Order Completed') {
    const products = properties['products']
    return isText(properties['order_id']) && Array.isArray(products) && products.length > 0
  }
  return isText(call.event)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

type Rule = (sent: SentCall, events: readonly SentCall[]) => boolean

/** Goes through one person's events for one campaign. */
function walk(
  campaign: CampaignName,
  waitMs: number,
  { events, isStart, isExit }: { events: readonly SentCall[]; isStart: Rule; isExit: Rule },
): { readonly due: readonly Omit<DueMessage, 'person'>[]; readonly tightestMs: number } {
  const due: Omit<DueMessage, 'person'>[] = []
  let startedAtMs: number | undefined
  let tightestMs = Number.POSITIVE_INFINITY
  for (const sent of events) {
    if (sent.isBackfill === true) continue
    const isAbout = isStart(sent, events) || isExit(sent, events)
    const last = startedAtMs ?? due.at(-1)?.startedAtMs
    if (isAbout && last !== undefined) {
      tightestMs = Math.min(tightestMs, Math.abs(last + waitMs - sent.sentAtMs))
    }
    if (startedAtMs !== undefined && sent.sentAtMs >= startedAtMs + waitMs) {
      due.push({ campaign, startedAtMs, dueAtMs: startedAtMs + waitMs })
      startedAtMs = undefined
    }
    if (isExit(sent, events)) {
      startedAtMs = undefined
      for (const message of due) message.exitAtMs ??= sent.sentAtMs
    } else if (isStart(sent, events)) startedAtMs ??= sent.sentAtMs
  }
  if (startedAtMs !== undefined) due.push({ campaign, startedAtMs, dueAtMs: startedAtMs + waitMs })
  return { due, tightestMs }
}

function isCartStart({ call }: SentCall): boolean {
  return call.type === 'track' && call.event === 'Product Added'
}

function isOrder({ call }: SentCall): boolean {
  return call.type === 'track' && call.event === 'Order Completed'
}

function never(): boolean {
  return false
}

/**
 * Tells whether this order is the one that makes enough of them: with it there are, without it
 * there were not.
 */
function isThirdOrder(sent: SentCall, events: readonly SentCall[]): boolean {
  if (!isOrder(sent)) return false
  const before = events.slice(0, events.indexOf(sent)).filter((earlier) => {
    return isOrder(earlier) && earlier.sentAtMs > sent.sentAtMs - loyalWindowMs
  })
  return before.length === loyalOrderCount - 1
}

function hasAddress(events: readonly SentCall[], atMs: number): boolean {
  return events.some(({ sentAtMs, call }) => sentAtMs <= atMs && isText(call.traits?.['email']))
}
