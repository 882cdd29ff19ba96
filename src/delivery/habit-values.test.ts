import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { viewCart } from '../profile/cart.ts'
import { addHabits } from '../profile/habit/habit-pack.ts'
import { createPerson } from '../profile/person.ts'
import { habitValues } from './habit-values.ts'

const startMs = 1_790_000_000_000
const minuteMs = 60_000
const monthMs = 30 * 86_400_000

describe('the values of a template', () => {
  it('have sessions, touches, the cart and affinities as of the render', () => {
    const person = createPerson('user:ada', 0)
    const [part] = person.parts
    assert.ok(part)
    const readTouch = () => ({ channel: 'email', campaign: 'spring', landingPage: '/a' }) as const
    const visit = { atMs: startMs, order: 0, idleMs: 30 * minuteMs, readTouch }
    const tastes = [{ category: 'lamps' }]
    addHabits(person.parts, part, { visit, atMs: startMs, tastes, action: 6 })
    const added = { name: 'Product Added', occurredAtMs: startMs, itemId: 'a', value: 12.5 }
    const cart = viewCart([added])
    const at = new Date(startMs).toISOString()
    const touch = { at, channel: 'email', campaign: 'spring', landing_page: '/a' }
    const values = habitValues(person, cart, startMs + minuteMs)
    assert.deepEqual(values, {
      cart_state: 'open',
      cart_value: 12.5,
      session_count: 1,
      session: { is_active: true, started_at: at, event_count: 1, entry: touch },
      first_touch: touch,
      last_touch: touch,
      affinities: values['affinities'],
    })
    const later = habitValues(person, cart, startMs + monthMs)
    assert.equal(later['cart_state'], 'abandoned')
    assert.deepEqual(later['session'], { ...Object(values['session']), is_active: false })
    const categories = [{ name: 'lamps', share: 1, interest: 3 }]
    assert.deepEqual(later['affinities'], { categories, brands: [], price_bands: [] })
  })
})
