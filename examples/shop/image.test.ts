import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { renderItemImage } from './image.ts'
import { itemCategories } from './item-category.ts'

const item = { itemId: '85123A', name: 'White Hanging Heart', category: 'Lighting & Candles' }

describe('renderItemImage', () => {
  it('draws the same item the same way, and each category in its own', () => {
    assert.equal(renderItemImage(item), renderItemImage({ ...item }))
    const images = itemCategories.map((category) => renderItemImage({ ...item, category }))
    assert.equal(new Set(images).size, itemCategories.length)
  })

  it('shows the initials, and lets no name out of its attribute', () => {
    assert.match(renderItemImage(item), />WHH<\/text>/)
    const image = renderItemImage({ ...item, name: 'Letter "A" <b> & Co' })
    assert.ok(image.includes('aria-label="Letter &quot;A&quot; &lt;b&gt; &amp; Co"'))
  })

  it('draws something for a category that it does not know', () => {
    assert.match(renderItemImage({ itemId: '1', name: 'Odd' }), /^<svg .*<\/svg>$/)
  })
})
