import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cartReminderSource } from './cart-reminder.fixture.ts'
import { type CompiledTemplate, compileTemplate } from './compile-template.ts'
import type { TemplateSource } from './template.ts'

/** The body begins on line 2. */
function aSource(body: string, given: Partial<TemplateSource> = {}): TemplateSource {
  return {
    name: 't',
    subject: 'Hi',
    mjml: `<mjml><mj-body><mj-section><mj-column>
${body}
<mj-text><a href="{{ unsubscribe_url }}">Leave</a></mj-text>
</mj-column></mj-section></mj-body></mjml>`,
    ...given,
  }
}

function faultsOf(compiled: CompiledTemplate): readonly string[] {
  if (compiled.kind === 'compiled') return []
  return compiled.faults.map((fault) => `${fault.file}:${fault.line ?? '?'}: ${fault.says}`)
}

describe('a template', () => {
  it('keeps its Liquid, loops and conditions included', async () => {
    const compiled = await compileTemplate(cartReminderSource)
    assert.equal(compiled.kind, 'compiled', faultsOf(compiled).join('\n'))
    const { html } = compiled.template
    assert.match(html, /\{% for item in cart\.items limit: 5 %\}/)
    assert.match(html, /\{% if item\.stock < 5 %\}/)
    assert.match(html, /src="\{\{ item\.image \}\}"/)
    assert.doesNotMatch(html, /^\s/m)
    assert.equal(compiled.template.text, cartReminderSource.text)
  })

  const bad: readonly (readonly [string, TemplateSource, RegExp])[] = [
    [
      'an unknown filter',
      aSource('<mj-text>\n{{ a | nope }}</mj-text>'),
      /mjml:3: undefined filter: nope/,
    ],
    ['an unclosed tag', aSource('<mj-text>{% if a %}</mj-text>'), /mjml:2: tag .* not closed/],
    ['an unclosed output', aSource('<mj-text>{{ a </mj-text>'), /mjml:2: output .* not closed/],
    [
      'a fault in the subject',
      aSource('', { subject: 'a {% nope %}' }),
      /subject\.liquid:1: tag "nope"/,
    ],
    [
      'a fault in the text',
      aSource('', { text: 'a\n{{ b | nope }}' }),
      /text\.liquid:2: undefined filter/,
    ],
    [
      'an empty subject',
      aSource('', { subject: ' \n' }),
      /subject\.liquid:\?: the subject is empty/,
    ],
    ['an unknown element', aSource('<mj-bogus />'), /mjml:2: Element mj-bogus/],
    [
      'quotes inside quotes',
      aSource('<mj-button href="{{ a | default: "b" }}">c</mj-button>'),
      /mjml:2: /,
    ],
    [
      'text that MJML drops',
      aSource('{% if a %}<mj-text>b</mj-text>{% endif %}'),
      /mjml:2: MJML would lose \{% if a/,
    ],
    ['an include', aSource('<mj-include path="/etc/passwd" />'), /mjml:2: mj-include is off/],
    [
      'a partial',
      aSource('<mj-text>{% render "/etc/passwd" %}</mj-text>'),
      /tag "render" not found/,
    ],
    [
      'Liquid without quotes',
      aSource('<mj-text><a href={{ a }}>b</a></mj-text>'),
      /put quotes around .*href/,
    ],
    [
      'Liquid in a script',
      aSource('<mj-text><p onclick="{{ a }}">b</p></mj-text>'),
      /no Liquid in onclick/,
    ],
    [
      '100 KiB and more',
      aSource(`<mj-text>${'x'.repeat(100 * 1024)}</mj-text>`),
      /over 102400 bytes/,
    ],
    [
      'deep elements',
      aSource(`<mj-text>${'<div>'.repeat(3000)}</mj-text>`),
      /mjml:2: elements nested over/,
    ],
    [
      'deep blocks',
      aSource(`<mj-text>${'{% if a %}'.repeat(9000)}</mj-text>`),
      /blocks nested over/,
    ],
    ['no MJML', { name: 't', subject: 'Hi', mjml: 'hello' }, /template\.mjml/],
    [
      'no unsubscribe link',
      { name: 't', subject: 'Hi', mjml: '<mjml><mj-body></mj-body></mjml>' },
      /no unsubscribe link/,
    ],
  ]
  for (const [name, source, says] of bad) {
    it(`is refused for ${name}`, async () => {
      const faults = faultsOf(await compileTemplate(source))
      assert.ok(faults.length > 0)
      assert.match(faults.join('\n'), says)
    })
  }

  it('gets all the faults of its files at once', async () => {
    const source = aSource('<mj-text>{{ a | nope }}</mj-text>', { subject: '{{', text: '{% if %}' })
    assert.equal(faultsOf(await compileTemplate(source)).length, 3)
  })

  it('may have comments with Liquid, and raw Liquid', async () => {
    const body = '<!-- {{ gone }} --><mj-text>{% raw %}{{ shown }}{% endraw %}</mj-text>'
    assert.deepEqual(faultsOf(await compileTemplate(aSource(body))), [])
  })
})
