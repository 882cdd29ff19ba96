/**
 * Draws a picture for an item that has none: a flat tile in the colour of its category, an icon,
 * its initials.
 *
 * The data has names and prices but no photographs. A drawing made from the item alone needs no
 * network and no files, and the same item always looks the same. The five tones of a category are
 * chosen by the item's id, so that a grid of neighbours is not one plain block.
 */

import { type ItemCategory, itemCategories } from './item-category.ts'

interface Tile {
  /** Hue of the tile in degrees. */
  readonly hue: number
  /** Drawn in a square of 100 by 100, lines only. */
  readonly icon: string
}

/** Small steps: the tones of one category must look like one family. */
const toneHueSteps = [0, -8, 9, -15, 16] as const
const initialsMax = 3

const tiles: Readonly<Record<ItemCategory, Tile>> = {
  Christmas: {
    hue: 150,
    icon: 'M50 10 L70 36 H60 L78 60 H64 L84 84 H16 L36 60 H22 L40 36 H30 Z M44 84 V94 H56 V84',
  },
  'Jewellery & Accessories': {
    hue: 282,
    icon:
      'M32 18 H68 L86 40 L50 86 L14 40 Z M14 40 H86 M38 40 L50 84 L62 40 M32 18 L38 40 L50 ' +
      '18 L62 40 L68 18',
  },
  'Lighting & Candles': {
    hue: 38,
    icon:
      'M36 46 H64 V90 H36 Z M50 46 V36 M50 36 C40 28 46 18 50 10 C54 18 60 28 50 36 Z M36 ' +
      '58 C42 66 46 52 52 60 C56 66 60 56 64 60',
  },
  'Bags & Purses': {
    hue: 345,
    icon: 'M22 38 H78 L84 88 H16 Z M34 48 V32 C34 8 66 8 66 32 V48',
  },
  'Stationery & Cards': {
    hue: 215,
    icon: 'M12 28 H88 V78 H12 Z M12 30 L50 58 L88 30 M12 78 L38 50 M88 78 L62 50',
  },
  'Party & Gift Wrap': {
    hue: 325,
    icon:
      'M20 44 H80 V88 H20 Z M14 30 H86 V44 H14 Z M50 30 V88 M50 30 C30 30 24 12 36 12 C46 ' +
      '12 50 30 50 30 C50 30 54 12 64 12 C76 12 70 30 50 30',
  },
  'Toys & Games': {
    hue: 14,
    icon:
      'M14 50 H50 V86 H14 Z M50 50 H86 V86 H50 Z M32 14 H68 V50 H32 Z M44 38 L50 24 L56 38 ' +
      'M26 62 H38 M26 74 H38 M62 68 A6 6 0 1 0 74 68 A6 6 0 1 0 62 68',
  },
  'Kitchen & Dining': {
    hue: 195,
    icon:
      'M18 38 H70 V64 C70 80 60 88 44 88 C28 88 18 80 18 64 Z M70 46 C90 42 90 72 68 70 M32 ' +
      '28 C28 22 36 18 32 10 M44 28 C40 22 48 18 44 10 M56 28 C52 22 60 18 56 10',
  },
  'Garden & Outdoor': {
    hue: 105,
    icon:
      'M30 60 H70 L64 90 H36 Z M26 52 H74 V60 H26 Z M50 52 V24 M50 40 C32 42 26 32 26 22 ' +
      'C42 20 50 28 50 40 M50 30 C66 32 74 22 74 10 C58 10 50 18 50 30',
  },
  Storage: {
    hue: 28,
    icon: 'M14 34 H86 V88 H14 Z M20 14 H80 L86 34 H14 Z M40 34 V50 H60 V34 M30 74 H52',
  },
  'Bath & Wellbeing': {
    hue: 178,
    icon:
      'M10 50 H90 C90 72 82 80 70 80 H30 C18 80 10 72 10 50 Z M28 80 L22 90 M72 80 L78 90 ' +
      'M22 50 V24 C22 10 42 10 42 24 M36 24 H48 M60 36 A5 5 0 1 0 70 36 A5 5 0 1 0 60 36 ' +
      'M74 22 A4 4 0 1 0 82 22 A4 4 0 1 0 74 22',
  },
  'Craft & Haberdashery': {
    hue: 255,
    icon:
      'M30 14 H70 V24 H30 Z M30 76 H70 V86 H30 Z M36 24 V76 M64 24 V76 M36 36 L64 30 M36 48 ' +
      'L64 42 M36 60 L64 54 M36 72 L64 66 M70 70 C90 66 82 40 90 20',
  },
  'Home Decor': {
    hue: 228,
    icon:
      'M38 30 H62 L58 44 C76 54 74 88 60 90 H40 C26 88 24 54 42 44 Z M50 30 V8 M50 22 C40 ' +
      '22 36 14 38 8 M50 18 C60 18 66 12 64 4 M30 66 H70',
  },
}

/** Returns an SVG image of 300 by 300 for an item of the shop. */
export function renderItemImage(item: {
  readonly itemId: string
  readonly name: string
  readonly category?: string
}): string {
  const tile = tiles[itemCategories.find((category) => category === item.category) ?? 'Home Decor']
  const tone = [...item.itemId].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) >>> 0
  const hue = tile.hue + (toneHueSteps[tone % toneHueSteps.length] ?? 0)
  const tilt = (Math.floor(tone / toneHueSteps.length) % 5) * 3 - 6
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300" viewBox="0 0 300 ' +
      '300" role="img"',
    ` aria-label="${escapeXml(item.name)}">`,
    `<rect width="300" height="300" fill="hsl(${hue} 38% 92%)"/>`,
    `<circle cx="150" cy="140" r="98" fill="hsl(${hue} 42% 85%)"/>`,
    `<g transform="translate(150 140) rotate(${tilt}) scale(1.16) translate(-50 -50)">`,
    `<path d="${tile.icon}" fill="hsl(${hue} 50% 97%)" fill-rule="evenodd" fill-opacity="0.75"`,
    ` stroke="hsl(${hue} 38% 36%)" stroke-width="3.4"`,
    ' stroke-linecap="round" stroke-linejoin="round"/>',
    '</g>',
    '<text x="150" y="278" text-anchor="middle" font-family="Georgia, serif" font-size="22"',
    ` letter-spacing="4" fill="hsl(${hue} 30% 40%)">${escapeXml(initialsOf(item.name))}</text>`,
    '</svg>',
  ].join('')
}

function initialsOf(name: string): string {
  const words = name.split(/[^A-Za-z]+/).filter((word) => /^[A-Z]/.test(word))
  return words
    .slice(0, initialsMax)
    .map((word) => word.charAt(0))
    .join('')
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
