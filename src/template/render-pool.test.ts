import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { aRenderInput, someKeys } from './cart-reminder.fixture.ts'
import { createInlineRenderer, openRenderPool, renderPoolDefaults } from './render-pool.ts'
import type { RenderAnswer, Renderer, RenderInput } from './template.ts'

const golden = JSON.parse(
  readFileSync(new URL('../../test/fixtures/template-cart-reminder.json', import.meta.url), 'utf8'),
) as { readonly input: RenderInput }

/**
 * One step that keeps its thread for as long as the list is long: no limit of Liquid is asked
 * inside a filter.
 */
function aSlowInput(countItems: number): RenderInput {
  return aRenderInput(
    {
      name: 'slow',
      subject: 'Hi',
      // tidy-ignore: a template in one piece
      text: '{% assign b = a | find_exp: "x", "x == 3" %}{% assign b = a | find_exp: "x", "x == 3" %}',
      html: '<p>',
    },
    { values: { a: Array.from({ length: countItems }, () => 1) } },
  )
}

async function openPool(
  t: TestContext,
  given: Partial<typeof renderPoolDefaults> = {},
): Promise<Renderer> {
  const pool = await openRenderPool({ ...renderPoolDefaults, ...given }, someKeys)
  t.after(() => pool.close())
  return pool
}

function kindOf(answer: RenderAnswer): string {
  return answer.kind === 'refused' ? answer.reason : answer.kind
}

describe('a render pool', () => {
  it('answers as the inline renderer does, byte for byte', async (t) => {
    const pool = await openPool(t)
    const inline = createInlineRenderer(someKeys)
    const [left, right] = await Promise.all([
      pool.render(golden.input),
      inline.render(golden.input),
    ])
    assert.equal(left.kind, 'rendered')
    assert.equal(right.kind, 'rendered')
    assert.deepEqual(Buffer.from(left.message.raw), Buffer.from(right.message.raw))
    assert.deepEqual(left.message.links, right.message.links)
  })

  it('keeps templates apart, also more of them than a thread keeps', async (t) => {
    const pool = await openPool(t)
    const inputs = Array.from({ length: 40 }, (_, index) =>
      aRenderInput({ name: `n${index}`, subject: `S ${index}`, text: null, html: `<p>${index}` }),
    )
    const inline = createInlineRenderer(someKeys)
    for (const input of [...inputs, ...inputs.toReversed(), ...inputs]) {
      const [left, right] = await Promise.all([pool.render(input), inline.render(input)])
      assert.equal(right.kind, 'rendered')
      assert.deepEqual(left, right)
    }
  })

  it('kills a thread that is stuck, blames the one request, and answers all others', async (t) => {
    const pool = await openPool(t, { hardMs: 300 })
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        pool.render(index === 40 ? aSlowInput(1_000_000) : golden.input),
      ),
    )
    assert.deepEqual(
      answers.map(kindOf),
      answers.map((_, index) => (index === 40 ? 'killed' : 'rendered')),
    )
    assert.equal((await pool.render(golden.input)).kind, 'rendered')
  })

  it('survives a thread that runs out of memory', async (t) => {
    const pool = await openPool(t, { heapMb: 24, hardMs: 20_000, softMs: 20_000 })
    const answers = await Promise.all([
      pool.render(aSlowInput(3_000_000)),
      ...Array.from({ length: 10 }, () => pool.render(golden.input)),
    ])
    assert.equal(answers.map(kindOf)[0], 'killed')
    assert.ok(answers.slice(1).every((answer) => answer.kind === 'rendered'))
  })

  it('answers open requests when it is closed', async (t) => {
    const pool = await openPool(t)
    const pending = Array.from({ length: 300 }, () => pool.render(golden.input))
    await pool.close()
    const kinds = new Set((await Promise.all(pending)).map(kindOf))
    assert.ok(kinds.has('killed'))
  })
})
