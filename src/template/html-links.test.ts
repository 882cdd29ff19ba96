import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { rewriteLinks } from './html-links.ts'

/** Pieces of which some close a tag, a quote or a comment too early, or too late. */
const pieces = [
  ...['<td class="a">', '<td title="a>', '">', "<p title='>'>", "'>", '<b>', '</b>', '<br/>', '>'],
  ...['<a href="https://shop.example/1">', '<a title=">" href="https://shop.example/2">', '</a>'],
  ...['<!-- <a href="https://shop.example/3"> -->', '<!--[if mso]>', '<![endif]-->', '<', ' text '],
  ...['<style>', '</style>', '<script>', '</script>', '<img src="https://shop.example/4.png">'],
  ...['<td background=https://shop.example/5>', '<a href="javascript:x">', '<td', ' class=b>'],
  ...['<td class="\u00e9">', '<td class="\ud800">', '<td class="\ufffd">', "<A HREF='#x'>", '\n'],
]

/** What is found, and what is written. */
function outcomeOf(html: string, plain?: Set<string>): unknown {
  const found: string[] = []
  const rewrite = (destination: string): string => {
    found.push(destination)
    return `https://mail.example/${found.length}`
  }
  return { rewritten: rewriteLinks(html, rewrite, plain), found }
}

describe('rewriting links', () => {
  it('finds the same links where it has learned the tags as where it has not', () => {
    const learned = new Set<string>()
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 14 }), (chosen) => {
        const html = chosen.join('')
        assert.deepEqual(outcomeOf(html, learned), outcomeOf(html, new Set()))
      }),
      { numRuns: 3000 },
    )
    assert.ok(learned.has('<td class="a">'))
  })

  it('keeps finding a link in a tag that begins like a plain one', () => {
    const plain = '<td class="a">'
    const open = '<td class="a" background="https://shop.example/a.png">'
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(outcomeOf(`${plain}${open}<a href="https://shop.example/">x</a>`), {
        rewritten: {
          kind: 'rewritten',
          html: `${plain}${open}<a href="https://mail.example/1">x</a>`,
        },
        found: ['https://shop.example/'],
      })
      const bad = outcomeOf(`${plain}<td class="a" background="javascript:x">`)
      assert.match(JSON.stringify(bad), /refused/)
    }
  })
})
