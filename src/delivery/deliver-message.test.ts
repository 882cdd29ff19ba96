import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Message, type MessageState, messagePrefix } from '../campaign/message.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { partitionOf } from '../log/record.ts'
import {
  createPerson,
  encodePerson,
  type Person,
  personPrefix,
  traitPrefix,
} from '../profile/person.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { noHead } from '../state/state-store.ts'
import { someKeys } from '../template/cart-reminder.fixture.ts'
import { createInlineRenderer } from '../template/render-pool.ts'
import type { Template } from '../template/template.ts'
import { type DeliverDeps, type DeliverOptions, deliverMessage } from './deliver-message.ts'
import type { HandOver } from './mailer.ts'
import { addressKeyOf, suppressionPrefix } from './suppression.ts'

const partitionCount = 4
const workspace = 'default'
const personKey = 'user:ada'
const nowMs = 1_800_000_000_000
const addressSecret = new Uint8Array(32).fill(1)
const options: DeliverOptions = {
  from: 'Shop <hello@shop.example>',
  envelopeFrom: 'hello@shop.example',
  publicUrl: 'https://mail.shop.example',
  signingKeyId: someKeys.currentId,
  addressSecret,
  staleWaitMs: 100,
}

const template: Template = {
  name: 'cart-reminder',
  html: '<html><body><a href="{{ unsubscribe_url }}">Unsubscribe</a></body></html>',
  subject: 'Your cart',
  text: 'Your cart',
}

/** A value undefined takes the key out again. */
async function aState(entries: readonly (readonly [key: string, owner: string, value: unknown])[]) {
  const state = createMemoryStateStore()
  await write(state, entries)
  return state
}

async function write(state: MemoryStateStore, entries: Entries): Promise<void> {
  for (const [key, owner, value] of entries) {
    const partition = partitionOf(workspace, owner, partitionCount)
    const isBytes = value === undefined || value instanceof Uint8Array
    const bytes = isBytes ? value : Buffer.from(JSON.stringify(value))
    const { epoch, nonce } = noHead
    const commit = { ...noHead, partition, epoch, nonce, previousOffset: 0 }
    await state.commit([{ ...commit, changes: [{ key, value: bytes }] }])
  }
}

function aPerson(given: Partial<Person> = {}): Person {
  const openMessages = { [aMessage().messageId]: 'cart' }
  return { ...createPerson(personKey, nowMs), openMessages, ...given }
}

function entryOf(person: Person): Entries[number] {
  return [personPrefix + person.key, person.key, encodePerson(person)]
}

function aMessage(state: MessageState = { kind: 'due', attempt: 0 }): Message {
  const partition = partitionOf(workspace, personKey, partitionCount)
  return {
    messageId: `${partition.toString(36).padStart(2, '0')}-${'m'.repeat(22)}`,
    personKey,
    campaign: 'cart',
    enrollmentId: 'e',
    step: 0,
    template: 'cart-reminder',
    topic: 'reminders',
    trigger: { kind: 'segment-entry', name: 's', offset: 1, atMs: nowMs },
    dueAtMs: nowMs,
    notAfterMs: nowMs + 60_000,
    freshWithinMs: 1000,
    recommendationCount: 0,
    definitionsHash: 'd',
    state,
    outcomes: {},
  }
}

type Entries = Parameters<typeof aState>[0]

interface Given {
  readonly entries?: Entries
  readonly ages?: readonly number[]
  readonly answer?: HandOver
  readonly isGranted?: boolean
  readonly putFails?: Error
  /** Written while the mailer waits for a connection. */
  readonly meanwhile?: Entries
  /** Written while the suppression is read for the first time, which takes 3 s. */
  readonly whileReading?: Entries
  readonly readFails?: Error
  /** Its head is found to have gone back, once that effect is done. */
  readonly lost?: { readonly partition: number; readonly behind: string }
}

/** Runs one attempt; answers everything that was done, in order. */
async function effectsOf(given: Given): Promise<readonly string[]> {
  const effects: string[] = []
  const message = aMessage()
  const state: MemoryStateStore = await aState([
    [messagePrefix + message.messageId, personKey, message],
    entryOf(aPerson()),
    [traitPrefix + personKey, personKey, traitsOf('ada@people.example')],
    ...(given.entries ?? []),
  ])
  const ages = [...(given.ages ?? [])]
  let now = nowMs
  const clock: Clock = {
    nowMs: () => now,
    monotonicMs: () => now,
    sleep: (ms) => {
      effects.push(`sleep ${ms}`)
      now += ms
      return Promise.resolve()
    },
  }
  let isFirstRead = true
  const read: MemoryStateStore['get'] = async (partition, keys) => {
    const found = await state.get(partition, keys)
    if (!keys.some((key) => key.startsWith(suppressionPrefix))) return found
    if (given.readFails !== undefined) throw given.readFails
    if (isFirstRead && given.whileReading !== undefined) {
      await write(state, given.whileReading)
      now += 3000
    }
    isFirstRead = false
    return found
  }
  const renderer = createInlineRenderer(someKeys)
  const deps: DeliverDeps = {
    place: { state: { ...state, get: read }, workspace, partitionCount },
    clock,
    renderer: {
      render: (input) => {
        effects.push('render')
        return renderer.render(input)
      },
      close: () => renderer.close(),
    },
    mailer: {
      async handOver({ attempt, envelopeTo, mayBegin }) {
        await write(state, given.meanwhile ?? [])
        if (!(await mayBegin())) return { kind: 'refused', response: 'it may not begin' }
        effects.push(`hand over ${attempt} to ${envelopeTo}`)
        return given.answer ?? { kind: 'accepted', response: 'ok' }
      },
      close: () => Promise.resolve(),
    },
    blobs: {
      put: (blobs) => {
        effects.push('store evidence')
        if (given.putFails !== undefined) return Promise.reject(given.putFails)
        return Promise.resolve(blobs.map(() => 'hash'))
      },
    },
    claim: (_message, attempt) => {
      effects.push(`claim ${attempt}`)
      return Promise.resolve(given.isGranted ?? true)
    },
    report: (_message, { attempt, result, reason }) => {
      effects.push(`report ${attempt} ${result}${reason === undefined ? '' : ` ${reason}`}`)
      return Promise.resolve()
    },
    pace: () => Promise.resolve(),
    ageMs: () => ages.shift() ?? 0,
    reachedOffset: (partition) =>
      partition === given.lost?.partition && effects.includes(given.lost.behind) ? 1 : 0,
    advise: () => Promise.resolve({ recommendations: [], learnedCount: 0 }),
    templateOf: () => Promise.resolve({ template, templateHash: 't', shop: {} }),
    triggerEventOf: () => Promise.resolve(undefined),
  }
  const { signal } = new AbortController()
  await deliverMessage(deps, options, message.messageId, { soft: signal, hard: signal })
  return effects
}

function traitsOf(email: string): unknown {
  return { [personKey]: { email: [email, nowMs, 'web'] } }
}

const addressKey = addressKeyOf(addressSecret, 'Ada@People.example')
const suppressed: Entries[number] = [
  suppressionPrefix + addressKey,
  addressKey,
  { reminders: { reason: 'unsubscribed', atMs: nowMs } },
]

describe('an attempt', () => {
  it('claims, renders, stores the evidence, hands over, reports: in this order', async () => {
    assert.deepEqual(await effectsOf({}), [
      'claim 1',
      'render',
      'store evidence',
      'hand over 1 to ada@people.example',
      'report 1 accepted',
    ])
  })

  it('does nothing more where the claim is refused', async () => {
    assert.deepEqual(await effectsOf({ isGranted: false }), ['claim 1'])
  })

  it('waits while the data is older than the bound', async () => {
    const effects = await effectsOf({ ages: [1500, 1500] })
    assert.equal(effects[0], 'sleep 100')
    assert.ok(effects.includes('report 1 accepted'))
  })

  it('makes room for others at once where the data is far too old', async () => {
    assert.deepEqual(await effectsOf({ ages: [3_600_000, 3_600_000] }), [])
  })

  it('hands nothing over to a suppressed address', async () => {
    const effects = await effectsOf({ entries: [suppressed] })
    assert.deepEqual(effects.slice(2), ['store evidence', 'report 1 refused suppressed'])
  })

  const changes: readonly (readonly [string, Entries[number]])[] = [
    ['suppressed', suppressed],
    ['consent', entryOf(aPerson({ withdrawn: { reminders: nowMs } }))],
    ['exit', entryOf(aPerson({ openMessages: {} }))],
  ]
  for (const [reason, entry] of changes) {
    it(`hands nothing over after a change while it waits for its turn: ${reason}`, async () => {
      const effects = await effectsOf({ meanwhile: [entry] })
      assert.deepEqual(effects.slice(2), ['store evidence', `report 1 refused ${reason}`])
    })
  }

  it('looks again where it took over 2 s to read whether it may be sent', async () => {
    const effects = await effectsOf({ whileReading: [suppressed] })
    assert.deepEqual(effects.slice(2), ['store evidence', 'report 1 refused suppressed'])
  })

  it('is tried again later where that cannot be read', async () => {
    const readFails = new OperatingError('STORE_UNREACHABLE', 'read')
    const effects = await effectsOf({ readFails })
    assert.deepEqual(effects.slice(2), ['store evidence', 'report 1 deferred'])
  })

  it('reports an unclear hand-over as unknown', async () => {
    const effects = await effectsOf({ answer: { kind: 'unknown', response: 'cut' } })
    assert.deepEqual(effects.slice(-1), ['report 1 unknown'])
  })

  it('gives the grant back where the evidence cannot be stored', async () => {
    assert.deepEqual(await effectsOf({ putFails: new Error('no room') }), [
      'claim 1',
      'render',
      'store evidence',
      'report 1 deferred',
    ])
  })

  it('shows nothing of a state that has lost commits', async () => {
    for (const owner of [personKey, addressKeyOf(addressSecret, 'ada@people.example')]) {
      const partition = partitionOf(workspace, owner, partitionCount)
      const prepares = await effectsOf({ lost: { partition, behind: 'claim 1' } })
      assert.deepEqual(prepares, ['claim 1', 'report 1 deferred'])
      const checks = await effectsOf({ lost: { partition, behind: 'store evidence' } })
      assert.deepEqual(checks, ['claim 1', 'render', 'store evidence', 'report 1 deferred'])
    }
  })

  it('takes nobody for gone where any partition has lost commits', async () => {
    for (let partition = 0; partition < partitionCount; partition++) {
      const effects = await effectsOf({
        entries: [[personPrefix + personKey, personKey, undefined]],
        lost: { partition, behind: 'claim 1' },
      })
      assert.deepEqual(effects, ['claim 1', 'report 1 deferred'])
    }
  })

  it('fails where the email is larger than can be kept: the next one would be, too', async () => {
    const putFails = new OperatingError('BLOB_TOO_LARGE', 'store a body')
    assert.deepEqual((await effectsOf({ putFails })).slice(-2), [
      'store evidence',
      'report 1 failed',
    ])
  })

  it('fails where there is no usable address', async () => {
    const entry = [traitPrefix + personKey, personKey, traitsOf('a\r\nb@c.example')] as const
    assert.deepEqual(await effectsOf({ entries: [entry] }), ['claim 1', 'report 1 failed'])
  })
})
