import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Context, Liquid, Output } from 'liquidjs'
import type { JsonObject } from '../lib/json.ts'
import { shorten } from './liquid-shortcut.ts'

const options = {
  ownPropertyOnly: true,
  strictFilters: true,
  strictVariables: true,
  lenientIf: true,
  outputEscape: 'escape',
} as const

/** What the library makes of a template, or how it fails, with shortcuts and without. */
function outcomeOf(text: string, values: JsonObject, isShort: boolean): string {
  const engine = new Liquid(options)
  const parts = engine.parse(text)
  if (isShort) shorten(parts)
  try {
    return `text ${String(engine.renderSync(parts, values))}`
  } catch (error) {
    return `failure ${error instanceof Error ? error.message : ''}`
  }
}

const values: JsonObject = {
  name: 'Zo\u00eb & "co"',
  none: null,
  zero: 0,
  no: false,
  list: [{ name: 'a', price: 2.5, tags: ['x', 'y'] }, { name: '<b>', price: 3, tags: [] }, 'text'],
  deep: { size: 7, first: 'own', inner: { 'two words': 'yes' } },
  key: 'inner',
  next: { next: 'not a generator' },
}

const expressions = [
  ...['name', 'none', 'zero', 'no', 'missing', 'deep.inner.missing', 'none.deeper', 'list[0].name'],
  ...['list[1].name', 'list[5].name', 'list.size', 'list.first.name', 'list.last', 'deep.size'],
  ...['deep.first', 'deep.inner["two words"]', 'deep[key]["two words"]', 'next', 'next.next'],
  ...['"literal <i>"', "'it''s'", '12', '1.5', 'true', 'nil', 'empty', 'blank', '(1..3)'],
  ...['forloop', 'forloop.index', 'forloop.last', 'one.name', 'one.tags[0]', 'list.0.name'],
  ...['zero == 0', 'missing == nil', 'missing.size > 0', 'name contains "co"', 'not missing'],
  ...['missing and name', 'zero or none', 'list.size > 2 and deep.size != 7', 'list contains name'],
  ...['one.price > 2', 'name == empty', 'none == blank', 'missing.none == missing', 'one > two'],
  ...['constructor', 'name.constructor', 'list.length', 'deep.hasOwnProperty', 'made', 'name[0]'],
]
const filters = [
  ...['', '| default: "d"', '| default: name', '| upcase', '| append: deep.size', '| size'],
  ...['| plus: zero', '| plus: missing', '| slice: 0, 2', '| map: "name" | join: ", "', '| raw'],
  ...['| sort: "price" | first', '| where: "price", 3 | size', '| default: no, allow_false: true'],
  ...['| date: "%Y"', '| json', '| escape', '| split: " " | last', '| times: list[0].price'],
]
const frames = [
  (inner: string): string => `a {{ ${inner} }} b`,
  (inner: string): string => `{% assign made = ${inner} %}[{{ made }}]`,
  (inner: string): string => `{% if ${inner} %}yes{% else %}no{% endif %}`,
  (inner: string): string => `{% for one in list %}{{ ${inner} }},{% endfor %}`,
  (inner: string): string => `{% unless ${inner} %}{{ name }}{% endunless %}{{ list[0].name }}`,
  (inner: string): string => `{% case zero %}{% when 0 %}{{ ${inner} }}{% else %}x{% endcase %}`,
  (inner: string): string => `{% capture made %}{{ ${inner} }}{% endcapture %}{{ made }}`,
]

describe('shortcuts through a template', () => {
  it('change neither what is written nor how it fails', () => {
    const given = fc.tuple(
      fc.constantFrom(...expressions),
      fc.constantFrom(...filters),
      fc.constantFrom(...frames),
    )
    fc.assert(
      fc.property(given, ([expression, filter, frame]) => {
        const text = frame(`${expression} ${filter}`)
        assert.equal(outcomeOf(text, values, true), outcomeOf(text, values, false), text)
      }),
      { numRuns: 1500 },
    )
  })

  it('are taken where a missing value is tested or has a default: the library throws', (t) => {
    const engine = new Liquid(options)
    const parts = engine.parse(
      '{% if a.b %}1{% elsif a.size > 0 and b %}2{% endif %}{% unless a == 1 %}3{% endunless %}' +
        '{% case a %}{% when 1 %}4{% endcase %}{{ c.d | default: "5" }}',
    )
    shorten(parts)
    const inside = Context.prototype as unknown as { _get(): unknown }
    t.mock.method(inside, '_get', () => assert.fail('asked'))
    assert.equal(engine.renderSync(parts, {}), '35')
    assert.throws(() => void engine.renderSync(engine.parse('{% if a %}{% endif %}'), {}), /asked/)
  })

  it('are taken: a path costs the library nothing', () => {
    const engine = new Liquid(options)
    const parts = engine.parse('{% for one in list %}{{ one.name | append: "!" }}{% endfor %}')
    shorten(parts)
    let isAsked = false
    const [output] = (parts[0] as unknown as { readonly templates: readonly Output[] }).templates
    assert.ok(output instanceof Output)
    output.value.value = () => {
      isAsked = true
      throw new Error('asked')
    }
    const list = [{ name: 'a' }, { name: 'b' }]
    assert.equal(engine.renderSync(parts, { list }), 'a!b!')
    assert.equal(isAsked, false)
    assert.throws(() => void engine.renderSync(parts, { list: [{}] }), /asked/)
  })
})
