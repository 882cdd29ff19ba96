/**
 * The promises of `mailer.ts` as a suite. An adapter's test gives a provider that behaves as it is
 * told.
 */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import type { HandOverRequest, Mailer } from './mailer.ts'

export type ProviderBehaviour =
  | 'accepts'
  | 'refuses-for-now'
  | 'refuses-for-good'
  /** Ends the connection before it takes the message. */
  | 'cuts-before-data'
  /** Takes the whole message, then ends the connection without an answer. */
  | 'cuts-after-data'
  /** Takes the whole message and never answers. */
  | 'is-silent-after-data'
  /** Never says a word. */
  | 'is-silent'
  /** Nobody listens. */
  | 'is-away'

export type OpenMailer = (
  t: TestContext,
  behaviour: ProviderBehaviour,
  timeLimitMs: number,
) => Promise<{ readonly mailer: Mailer; takenCount(): number }>

/** For one that says nothing: a busy machine must have come that far by then. */
const silentMsMax = 1000
const waitMsMax = 20_000

const expected = {
  accepts: 'accepted',
  'refuses-for-now': 'deferred',
  'refuses-for-good': 'failed',
  'cuts-before-data': 'deferred',
  'cuts-after-data': 'unknown',
  'is-silent-after-data': 'unknown',
  'is-silent': 'deferred',
  'is-away': 'deferred',
} as const satisfies Record<ProviderBehaviour, string>

/** Returns a hand-over of a small message; a test gives what it is about. */
export function aHandOver(given: Partial<HandOverRequest> = {}): HandOverRequest {
  return {
    messageId: 'm1',
    attempt: 1,
    envelopeFrom: 'hello@shop.example',
    envelopeTo: 'zoe@person.example',
    raw: Buffer.from('From: hello@shop.example\r\nSubject: Hi\r\n\r\nline\r\n.dot\r\n'),
    mayBegin: () => Promise.resolve(true),
    ...given,
  }
}

export function describeMailer(adapter: string, open: OpenMailer): void {
  describe(`${adapter} as a mailer`, () => {
    for (const [behaviour, kind] of Object.entries(expected)) {
      it(`says ${kind} when the provider ${behaviour.replaceAll('-', ' ')}`, async (t) => {
        const timeLimitMs = behaviour.startsWith('is-silent') ? silentMsMax : waitMsMax
        const { mailer } = await open(t, behaviour as ProviderBehaviour, timeLimitMs)
        const handOver = await mailer.handOver(aHandOver(), new AbortController().signal)
        assert.equal(handOver.kind, kind, handOver.response)
        assert.ok(handOver.response.length > 0)
      })
    }

    it('makes one attempt for each call', async (t) => {
      const { mailer, takenCount } = await open(t, 'cuts-after-data', waitMsMax)
      await mailer.handOver(aHandOver(), new AbortController().signal)
      await mailer.handOver(aHandOver({ attempt: 2 }), new AbortController().signal)
      assert.equal(takenCount(), 2)
    })

    it('sends nothing where the message may not begin any more', async (t) => {
      const { mailer, takenCount } = await open(t, 'accepts', waitMsMax)
      const { signal } = new AbortController()
      const mayBegin = (): Promise<boolean> => Promise.resolve(false)
      assert.equal((await mailer.handOver(aHandOver({ mayBegin }), signal)).kind, 'refused')
      assert.equal(takenCount(), 0)
      assert.equal((await mailer.handOver(aHandOver(), signal)).kind, 'accepted')
      assert.equal((await mailer.handOver(aHandOver({ mayBegin }), signal)).kind, 'refused')
      assert.equal(takenCount(), 1)
    })

    it('does not ask whether a message may begin that cannot', async (t) => {
      const { mailer } = await open(t, 'is-silent', silentMsMax)
      let askedCount = 0
      const mayBegin = (): Promise<boolean> => Promise.resolve(++askedCount > 0)
      await mailer.handOver(aHandOver({ mayBegin }), new AbortController().signal)
      assert.equal(askedCount, 0)
    })

    it('ends when told to, without a claim to know what became of the message', async (t) => {
      const { mailer, takenCount } = await open(t, 'is-silent-after-data', waitMsMax)
      const abort = new AbortController()
      const pending = mailer.handOver(aHandOver(), abort.signal)
      while (takenCount() === 0) await systemClock.sleep(5)
      abort.abort()
      assert.equal((await pending).kind, 'unknown')
    })

    it('hands nothing over once aborted, or to an address outside our grammar', async (t) => {
      const { mailer, takenCount } = await open(t, 'accepts', waitMsMax)
      assert.equal((await mailer.handOver(aHandOver(), AbortSignal.abort())).kind, 'deferred')
      const signal = new AbortController().signal
      for (const envelopeTo of ['a@b.io>\r\nRCPT TO:<c@d.io', 'a@b.io, c@d.io', '']) {
        assert.equal((await mailer.handOver(aHandOver({ envelopeTo }), signal)).kind, 'failed')
      }
      assert.equal(takenCount(), 0)
    })
  })
}
