import { deepStrictEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { AdviceReason } from '../recommend/advisor.ts'
import { reasonKinds } from '../recommend/reason.ts'
import { showRecommended } from './recommendation-answer.ts'

const item: Item = { itemId: 'pot', name: 'Pot', price: 9, updatedAtMs: 1 }
const tea: Item = { ...item, itemId: 'tea', name: 'Tea' }

const told: Readonly<Record<AdviceReason['kind'], string>> = {
  'because-viewed': 'Because of a look at Tea',
  'because-carted': 'Because Tea was put into the cart',
  'because-bought': 'People who bought Tea took this too',
  'bought-together': 'Bought together with Tea',
  'looked-at': 'Looked at before',
  'bought-before': 'Bought before',
  alike: 'Like Tea',
  trending: 'Popular now',
  'viewed-not-bought': 'Looked at, and not bought yet',
  pinned: 'Pinned by a rule',
  'in-catalog': 'In the catalog',
}

function reasonShown(reason: AdviceReason): unknown {
  const advised = { itemId: 'pot', score: 1, weights: { base: 1 }, reason }
  const named = new Map([['tea', tea]])
  return showRecommended({ items: [{ item, advised }], named }, 'EUR')[0]?.['reason']
}

describe('the reason of a recommendation', () => {
  it('says of each kind what it is', () => {
    for (const kind of [...reasonKinds, 'viewed-not-bought', 'pinned', 'in-catalog'] as const) {
      const shown = reasonShown({ kind, itemId: 'tea' }) as { readonly says: string }
      equal(shown.says, told[kind])
    }
  })

  it('names the category, the algorithm and its part of the score', () => {
    const by = { algorithm: 'trending', share: 0.75 } as const
    deepStrictEqual(reasonShown({ kind: 'trending', category: 'Cups', ...by }), {
      ...{ kind: 'trending', itemId: undefined, name: undefined, category: 'Cups', ...by },
      says: 'Popular now in Cups',
    })
  })
})
