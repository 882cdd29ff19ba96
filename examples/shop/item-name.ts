/**
 * Makes a shop's warehouse description readable: `SET OF 3 REGENCY CAKE TINS ` becomes `Set of 3
 * Regency Cake Tins`. Words are never changed, only their case and the space and commas around
 * them.
 */

const smallWords = new Set(
  'a an and as at but by de des du for from in into la le of on or sur the to with'.split(' '),
)
const keptWords: ReadonlyMap<string, string> = new Map(
  ['ABC', 'CD', 'DIY', 'DVD', 'EIRE', 'FM', 'II', 'LED', 'OK', 'PVC', 'UK', 'USB', 'XL', 'XXL'].map(
    (word) => [word.toLowerCase(), word],
  ),
)

/**
 * Returns the description in title case, trimmed; the empty text where there is nothing to read.
 */
export function tidyName(description: string): string {
  const text = description
    .replace(/[*?]+/g, ' ')
    .replace(/\s*,\s*/g, ', ')
    .replace(/\s+/g, ' ')
    .replace(/^[\s.,]+|[\s.,]+$/g, '')
  const words = text.split(' ')
  return words.map((word, index) => tidyWord(word, index > 0 && index < words.length - 1)).join(' ')
}

function tidyWord(word: string, isInside: boolean): string {
  const lower = word.toLowerCase()
  if (isInside && smallWords.has(lower)) return lower
  const kept = keptWords.get(lower)
  if (kept !== undefined) return kept
  // Sizes: 25x24x12cm, 500g, 3.5m; but 3D stays.
  if (/^\d[\d.]*(x\d[\d.]*)*(cm|mm|m|g|kg|ml|l|oz|")?$/i.test(word)) return lower
  return lower
    .split(/([-/&+(.])/)
    .map((piece, index, pieces) => capitalise(piece, index > 0 ? (pieces[index - 2] ?? '') : ''))
    .join('')
}

function capitalise(piece: string, before: string): string {
  // The letter of `d'Or`, `o'clock` and of `t-light` is large; the one of `children's` is not.
  const quoted = /^([dlo])'([a-z])(.+)$/.exec(piece)
  if (quoted && before === '') return `${upper(quoted[1])}'${upper(quoted[2])}${quoted[3] ?? ''}`
  return piece.replace(/^(\W*\d*)([a-z])/, (_, lead: string, letter: string) =>
    /\d$/.test(lead) ? lead + letter : lead + letter.toUpperCase(),
  )
}

function upper(letter: string | undefined): string {
  return (letter ?? '').toUpperCase()
}
