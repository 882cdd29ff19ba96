import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseCampaign } from './campaign.ts'

const reminder = {
  name: 'cart-reminder',
  kind: 'journey',
  trigger: { event: 'Product Added' },
  steps: [{ wait: '4h' }, { send: { template: 'cart-reminder', topic: 'reminders' } }],
  exit: [{ event: 'Order Completed' }],
}

function faultsOf(input: unknown): readonly string[] {
  const parsed = parseCampaign(input)
  return parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
}

describe('a campaign', () => {
  it('is read with its defaults', () => {
    const parsed = parseCampaign(reminder)
    assert.equal(parsed.kind, 'campaign')
    if (parsed.kind !== 'campaign') return
    assert.deepEqual(parsed.campaign.steps, [
      { kind: 'wait', waitMs: 14_400_000 },
      {
        kind: 'send',
        template: 'cart-reminder',
        topic: 'reminders',
        freshWithinMs: 60_000,
        notAfterMs: 86_400_000,
        recommendationCount: 0,
      },
    ])
    assert.deepEqual(parsed.campaign.exits, ['Order Completed'])
  })

  it('knows an event by any of its spellings', () => {
    const spelled = { trigger: { event: 'product_added' }, exit: [{ event: 'Completed Order' }] }
    assert.deepEqual(parseCampaign({ ...reminder, ...spelled }), parseCampaign(reminder))
  })

  it('names all faults at once, with their paths', () => {
    const faults = faultsOf({
      ...reminder,
      name: 'Cart Reminder',
      kind: 'blast',
      steps: [{ wait: 'soon' }, { send: { template: '', topic: 'x', freshWithin: '0s' } }],
      exit: [{}],
      cap: 3,
    })
    assert.deepEqual(faults.toSorted(), [
      'cap',
      'exit[0]',
      'kind',
      'name',
      'steps[0].wait',
      'steps[1].send.freshWithin',
      'steps[1].send.template',
    ])
  })

  it('refuses what would never send', () => {
    assert.deepEqual(faultsOf({ ...reminder, steps: [{ wait: '1h' }] }), ['steps'])
    assert.deepEqual(faultsOf({ ...reminder, steps: [] }), ['steps'])
    assert.deepEqual(faultsOf({ ...reminder, trigger: {} }), ['trigger'])
    assert.deepEqual(faultsOf(null).includes(''), true)
  })
})
