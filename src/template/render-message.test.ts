import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { sha256Hex } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { aRenderInput, someKeys } from './cart-reminder.fixture.ts'
import { parseToken } from './links.ts'
import { createMessageRenderer } from './render-message.ts'
import type { RenderAnswer, RenderedMessage, RenderInput, Template } from './template.ts'

const golden = JSON.parse(
  readFileSync(new URL('../../test/fixtures/template-cart-reminder.json', import.meta.url), 'utf8'),
) as { readonly input: RenderInput; readonly sha256: string; readonly rendererVersion: string }

const renderMessage = createMessageRenderer(someKeys)

function aTemplate(given: Partial<Template> = {}): Template {
  return { name: 't', subject: 'Hi', text: 'text', html: '<body>x</body>', ...given }
}

function render(
  given: Partial<Template>,
  values: JsonObject = {},
  message: Partial<RenderInput['message']> = {},
): RenderAnswer {
  return renderMessage(aRenderInput(aTemplate(given), { values, message }))
}

function rendered(answer: RenderAnswer): RenderedMessage {
  assert.equal(answer.kind, 'rendered', JSON.stringify(answer))
  return answer.message
}

function refusal(answer: RenderAnswer): string {
  return answer.kind === 'refused' ? answer.reason : answer.kind
}

describe('a rendered message', () => {
  it('has the same bytes every time, in another process, in another zone and language', () => {
    const first = sha256Hex(rendered(renderMessage(golden.input)).raw)
    assert.equal(sha256Hex(rendered(createMessageRenderer(someKeys)(golden.input)).raw), first)
    const url = (path: string): string => JSON.stringify(import.meta.resolve(path))
    const script = `
      const { createMessageRenderer } = await import(${url('./render-message.ts')})
      const { someKeys } = await import(${url('./cart-reminder.fixture.ts')})
      const { sha256Hex } = await import(${url('../lib/hash.ts')})
      const answer = createMessageRenderer(someKeys)(${JSON.stringify(golden.input)})
      process.stdout.write(sha256Hex(answer.message.raw))`
    const env = { TZ: 'Asia/Kathmandu', LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8' }
    const other = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env })
    assert.equal(other.toString(), first)
    assert.equal(first, golden.sha256, 'a changed byte needs a new rendererVersion')
  })

  it('reads back as what was filled in, with one recipient and no other header', async () => {
    const message = rendered(renderMessage(golden.input))
    const parsed = await PostalMime.parse(message.raw)
    assert.equal(parsed.subject, message.subject)
    assert.equal(parsed.html?.trim(), message.html.trim())
    assert.equal(parsed.text?.trim(), message.text.trim())
    assert.deepEqual(parsed.to, [{ name: '', address: 'zoe@person.example' }])
    assert.deepEqual(parsed.from, { name: 'The Shop', address: 'hello@shop.example' })
    assert.deepEqual(
      parsed.headers.map((header) => header.key),
      [...message.headers.map(([name]) => name.toLowerCase()), 'mime-version', 'content-type'],
    )
  })

  it('tracks web links, leaves mailto and unsubscribe, and carries one pixel', () => {
    const message = rendered(renderMessage(golden.input))
    const clicks = [...message.html.matchAll(/\/e\/c\/([^"]+)"/g)].map((match) => match[1] ?? '')
    assert.deepEqual(
      clicks.map((token) => parseToken(someKeys, 'click', token)?.index),
      message.links.map((_, index) => index),
    )
    assert.equal(message.links[0], 'https://shop.example/')
    assert.ok(message.links.includes('https://shop.example/p/1?utm_source=email&utm_medium=cart'))
    assert.equal([...message.html.matchAll(/\/e\/o\//g)].length, 1)
    assert.match(message.html, /href="mailto:help@shop\.example"/)
    const unsubscribe = Object.fromEntries(message.headers)['List-Unsubscribe'] ?? ''
    assert.ok(message.html.includes(`href="${unsubscribe.slice(1, -1)}"`))
    assert.ok(unsubscribe.length <= 202)
  })

  it('shows values as text, in HTML, in attributes, and never as Liquid', () => {
    const name = '<script>alert(1)</script>" onload="x{{ 7 | times: 7 }}{% if %}'
    const message = rendered(
      render(
        { html: '<p title="{{ n }}">{{ n }}</p>', text: '{{ n }}', subject: '{{ n }}' },
        { n: name },
      ),
    )
    assert.ok(!message.html.includes('<script'))
    assert.ok(!message.html.includes('" onload'))
    assert.ok(message.html.includes('{{ 7 | times: 7 }}{% if %}'))
    assert.equal(message.text, name)
    assert.equal(message.subject, name)
  })

  it('has no bare line end, no long line and only its own headers, whatever the values are', () => {
    const nasty = fc.array(
      fc.constantFrom(
        '\r',
        '\n',
        '\r\n',
        '\r\nBcc: x@y.io',
        '.',
        '=?utf-8?Q?x?=',
        '\u202e',
        '\0',
        'a',
        ' ',
        '\ud800',
        '\u00e9',
        '\u{1f600}',
      ),
      { maxLength: 200 },
    )
    fc.assert(
      fc.property(
        nasty.map((parts) => parts.join('')),
        (name) => {
          const message = rendered(
            render({ html: '<p>{{ n }}</p>', text: '{{ n }}', subject: 'S {{ n }}' }, { n: name }),
          )
          const raw = Buffer.from(message.raw).toString('latin1')
          assert.ok(!/(?<!\r)\n|\r(?!\n)/.test(raw))
          assert.ok(/^[\r\n -~]*$/.test(raw))
          assert.ok(raw.split('\r\n').every((line) => line.length <= 998))
          const head = raw.slice(0, raw.indexOf('\r\n\r\n'))
          const names = head.split('\r\n').filter((line) => !line.startsWith(' '))
          assert.deepEqual(
            names.map((line) => line.slice(0, line.indexOf(':'))),
            [...message.headers.map(([header]) => header), 'MIME-Version', 'Content-Type'],
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  it('cuts a subject at 500 characters and takes its line ends out', () => {
    const message = rendered(
      render({ subject: '{{ s }}' }, { s: `a\r\nBcc: b@c.io ${'x'.repeat(900)}` }),
    )
    assert.equal(message.subject.length, 500)
    assert.match(message.subject, /^a {2}Bcc: b@c\.io x+$/)
  })

  it('makes its text part from the HTML when there is none', () => {
    const html =
      '<style>p{}</style><p>Hi {{ n }}</p><a href="https://a.io/x">go</a><img src="https://a.io/i">'
    const message = rendered(render({ html, text: null }, { n: 'A&B' }))
    assert.match(message.text, /Hi A&B/)
    assert.match(message.text, /go \[https:\/\/a\.io\/x\]/)
    assert.ok(!message.text.includes('p{}'))
  })

  it('takes now from the message and division and money from the dialect', () => {
    const text =
      '{{ "now" | date: "%Y-%m-%d %H:%M" }} {{ 15 | divided_by: 2 }} ' +
      '{{ 3 | money }} {{ x | default: "there" }}'
    const values = { shop: { currency: 'EUR' } }
    assert.equal(rendered(render({ text }, values)).text, '2026-11-23 09:05 7 \u20ac3.00 there')
    assert.equal(rendered(render({ text: '{{ 3 | money }}' })).text, '3.00')
  })
})

describe('a render', () => {
  const limits: Record<string, string> = {
    'an endless loop': '{% for i in (1..1000000000) %}x{% endfor %}',
    'loops inside loops':
      // tidy-ignore: a template in one piece
      '{% for i in (1..1000) %}{% for j in (1..1000) %}{% for k in (1..1000) %}{% endfor %}{% endfor %}{% endfor %}',
    'doubling captures':
      // tidy-ignore: a template in one piece
      '{% assign x = "aaaaaaaaaa" %}{% for i in (1..40) %}{% capture x %}{{ x | raw }}{{ x | raw }}{% endcapture %}{% endfor %}{{ x }}',
    'captures that are never shown':
      // tidy-ignore: a template in one piece
      '{% assign x = "aaaaaaaaaa" %}{% for i in (1..20) %}{% capture x %}{{ x | raw }}{{ x | raw }}{% endcapture %}{% endfor %}',
    'a gigabyte of output': `{% for i in (1..10000) %}${'x'.repeat(100_000)}{% endfor %}`,
    'deep nesting': '{% if true %}'.repeat(6000) + '{% endif %}'.repeat(6000),
    'output over 512 KiB': `{% for i in (1..6) %}${'x'.repeat(99_000)}{% endfor %}`,
  }
  for (const [name, source] of Object.entries(limits)) {
    it(`is refused for ${name}, in HTML and in text, within a second of CPU each`, () => {
      const before = process.cpuUsage()
      assert.equal(refusal(render({ html: source })), 'limit')
      assert.equal(refusal(render({ text: source })), 'limit')
      assert.ok(process.cpuUsage(before).user < 2_000_000)
    })
  }

  for (const url of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' java\nscript:alert(1)',
    '&#106;avascript:alert(1)',
    'javascript&colon;alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    '//evil.example',
    '/path',
    '',
    'https://',
    'https:/x',
    'ftp://a.io',
  ]) {
    it(`is refused for a link to ${JSON.stringify(url)}`, () => {
      assert.equal(refusal(render({ html: `<a href="${url}">x</a>` })), 'bad-link')
      assert.equal(refusal(render({ html: '<a href="{{ u }}">x</a>' }, { u: url })), 'bad-link')
      assert.equal(
        refusal(render({ html: `<!--[if mso]><a href='${url}'>x</a><![endif]-->` })),
        'bad-link',
      )
    })
  }

  it('is refused for images that are scripts, and not for images that are missing', () => {
    assert.equal(refusal(render({ html: '<img src="javascript:x">' })), 'bad-link')
    assert.equal(refusal(render({ html: '<img src="">' })), 'rendered')
  })

  it('is refused for addresses that are none', () => {
    for (const to of ['a@b.io\r\nBcc: c@d.io', 'a@b.io, c@d.io', '', 'Ada <a@b.io>']) {
      assert.equal(refusal(render({}, {}, { to })), 'bad-address')
      assert.equal(refusal(render({}, {}, { from: `${to} <` })), 'bad-address')
    }
  })

  it('is refused for a missing value, an unknown filter, a file, a lack of keys', () => {
    assert.equal(refusal(render({ html: '{{ profile.name }}' }, { profile: {} })), 'missing-value')
    assert.equal(refusal(render({ html: '{{ "a" | nope }}' })), 'template')
    assert.equal(refusal(render({ html: '{{ "a" | sample }}' })), 'template')
    assert.equal(refusal(render({ html: '{% render "/etc/passwd" %}' })), 'template')
    assert.equal(refusal(render({ subject: '{{ "" }}' })), 'template')
    assert.equal(refusal(render({}, {}, { signingKeyId: 'gone' })), 'bad-link')
    assert.equal(refusal(render({}, {}, { publicUrl: 'javascript:x' })), 'bad-link')
    assert.equal(refusal(render({}, {}, { messageId: 'a.b' })), 'bad-link')
  })

  it('reads attributes as a browser does', () => {
    const html = `<A HREF=https://a.io/1>x</A><a class='b' href='https://a.io/"2'>y</a><a href = "https://a.io/3?a=1&amp;b=2" >z</a>
      <style>a[href="javascript:x"]{}</style><!-- <a href="javascript:x"> -->
      <title><a href="javascript:x"></title><a name=x>n</a>`
    assert.deepEqual(rendered(render({ html })).links, [
      'https://a.io/1',
      'https://a.io/"2',
      'https://a.io/3?a=1&b=2',
    ])
  })

  it('does not change its input', () => {
    const input = aRenderInput(aTemplate({ text: '{% increment n %}{% assign m = 3 %}' }), {
      values: { n: 1 },
    })
    const before = JSON.stringify(input)
    rendered(renderMessage(input))
    assert.equal(JSON.stringify(input), before)
  })

  it('takes time linear in its length, for HTML made to be slow', () => {
    for (const piece of [
      '<',
      '<!--',
      '<a ',
      '<a href="',
      '</body>',
      '&',
      '<a href=',
      '<title>',
      '<!--[if',
    ]) {
      const before = process.cpuUsage()
      render({ html: piece.repeat(Math.floor(90_000 / piece.length)) })
      assert.ok(process.cpuUsage(before).user < 1_000_000, piece)
    }
  })
})
